// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.mxfs.daemon.core.Action;
import org.mxfs.daemon.core.ArrayCommand;
import org.mxfs.daemon.core.DiskCommand;
import org.mxfs.daemon.core.fencing.Fenced;
import org.mxfs.daemon.core.lock.Cleared;
import org.mxfs.daemon.core.membership.Departed;
import org.mxfs.daemon.core.membership.Outcast;
import org.mxfs.daemon.core.membership.Silence;
import org.mxfs.daemon.core.recovery.LocksCleared;
import org.mxfs.daemon.core.recovery.RecordsCleared;
import org.mxfs.daemon.core.recovery.RecoverJournal;
import org.mxfs.daemon.core.recovery.Recovered;

class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("org.mxfs.daemon");

  @Test
  void theCoreIsPure() {
    noClasses()
        .that()
        .resideInAPackage("org.mxfs.daemon.core..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "java.io..",
            "java.net..",
            "java.nio..",
            "java.time..",
            "java.util.concurrent..",
            "java.util.logging..",
            "java.lang.foreign..",
            "org.slf4j..",
            "org.mxfs.bindings..",
            "org.mxfs.netlink..",
            "org.mxfs.scsi..",
            "org.mxfs.daemon.disk..",
            "org.mxfs.daemon.kernel..",
            "org.mxfs.daemon.array..",
            "org.mxfs.daemon.peer..",
            "org.mxfs.daemon.discovery..",
            "org.mxfs.daemon.control..",
            "org.mxfs.daemon.edge..",
            "org.mxfs.daemon.log..",
            "org.mxfs.daemon.statestore..",
            "org.mxfs.blockio..",
            "org.mxfs.daemon.main..")
        .orShould()
        .dependOnClassesThat()
        .haveFullyQualifiedName("java.lang.Thread")
        .orShould()
        .callMethod(System.class, "nanoTime")
        .orShould()
        .callMethod(System.class, "currentTimeMillis")
        .check(CLASSES);
  }

  @Test
  void theEdgesDoNotKnowEachOther() {
    for (String edge :
        new String[] {
          "kernel", "array", "disk", "peer", "discovery", "control", "log", "statestore"
        }) {
      noClasses()
          .that()
          .resideInAPackage("org.mxfs.daemon." + edge + "..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              Stream.of(
                      "kernel",
                      "array",
                      "disk",
                      "peer",
                      "discovery",
                      "control",
                      "log",
                      "statestore",
                      "main")
                  .filter(other -> !other.equals(edge))
                  .map(other -> "org.mxfs.daemon." + other + "..")
                  .toArray(String[]::new))
          .allowEmptyShould(true)
          .check(CLASSES);
    }
  }

  /** What people are told is what the core has published: a record, and nothing behind it. */
  @Test
  void theControlSocketSeesRecordsOnly() {
    noClasses()
        .that()
        .resideInAPackage("org.mxfs.daemon.control..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            Stream.of("ownership", "membership", "fencing", "recovery", "lock")
                .map(room -> "org.mxfs.daemon.core." + room + "..")
                .toArray(String[]::new))
        .check(CLASSES);
  }

  /** What edges share stands below them all. */
  @Test
  void whatEdgesShareKnowsNothingElse() {
    noClasses()
        .that()
        .resideInAPackage("org.mxfs.daemon.edge..")
        .should()
        .dependOnClassesThat(
            DescribedPredicate.describe(
                "are of another room",
                c ->
                    c.getPackageName().startsWith("org.mxfs.")
                        && !c.getPackageName().equals("org.mxfs.daemon.edge")))
        .check(CLASSES);
  }

  /** What attaches XFS, or changes who may write, is made where safety is decided. */
  @Test
  void onlyTheRulesMakeWhatIsDangerous() {
    onlyMaker(
        "org.mxfs.daemon.core..",
        "org.mxfs.daemon.core.ownership.TenureRules",
        Action.Attach.class,
        ArrayCommand.Register.class,
        ArrayCommand.Unregister.class,
        ArrayCommand.Reserve.class,
        ArrayCommand.Preempt.class);
    onlyMaker(
        "org.mxfs.daemon.core..",
        "org.mxfs.daemon.core.ownership.Takeover",
        Action.ResetUnit.class);
  }

  /** What later steps rest on is made where it is proven, and nowhere else. */
  @Test
  void aProofIsMadeByWhatProvesIt() {
    String anywhere = "org.mxfs.daemon..";
    onlyMaker(anywhere, "org.mxfs.daemon.core.fencing.Proof", Fenced.class);
    onlyMaker(anywhere, "org.mxfs.daemon.core.membership.Suspicion", Silence.class);
    onlyMaker(anywhere, "org.mxfs.daemon.core.membership.SlotTable", Departed.class);
    onlyMaker(anywhere, "org.mxfs.daemon.core.membership.SlotTable", Outcast.class);
    onlyMaker(anywhere, "org.mxfs.daemon.core.recovery.ClearRecords", RecordsCleared.class);
    onlyMaker(
        anywhere,
        "org.mxfs.daemon.core.recovery.RecordsCleared",
        Cleared.class,
        LocksCleared.class);
    onlyMaker(anywhere, "org.mxfs.daemon.core.recovery.LocksCleared", RecoverJournal.class);
    onlyMaker(anywhere, "org.mxfs.daemon.core.recovery.RecoverJournal", Recovered.class);
  }

  /** Fencing knows nothing of who uses it; recovery knows fencing and locks. */
  @Test
  void fencingAndRecoveryStandOnWhatIsBelow() {
    noClasses()
        .that()
        .resideInAPackage("org.mxfs.daemon.core.fencing..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "org.mxfs.daemon.core.ownership..",
            "org.mxfs.daemon.core.membership..",
            "org.mxfs.daemon.core.lock..",
            "org.mxfs.daemon.core.recovery..")
        .check(CLASSES);
    noClasses()
        .that()
        .resideInAPackage("org.mxfs.daemon.core.recovery..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("org.mxfs.daemon.core.ownership..", "org.mxfs.daemon.core.membership..")
        .check(CLASSES);
    expectStack(
        "org.mxfs.daemon.core.fencing.",
        List.of(
            "FencingSettings",
            "FencingChoice",
            "FenceCommand",
            "End",
            "Fenced",
            "Proof",
            "FenceEvent",
            "FenceAction",
            "Fencing",
            "Unaccounted"));
    expectStack(
        "org.mxfs.daemon.core.recovery.",
        List.of("Recovered", "RecoverJournal", "LocksCleared", "RecordsCleared", "ClearRecords"));
  }

  /** What writes a heartbeat slot is made where it is known whose the slot is. */
  @Test
  void onlyTheRulesOfSlotsMakeWhatWritesOne() {
    onlyMaker(
        "org.mxfs.daemon.core..",
        "org.mxfs.daemon.core.membership.SlotRules",
        DiskCommand.WriteBeat.class,
        DiskCommand.FreeSlot.class);
  }

  /** From the ground up: each knows only those that stand before it. */
  @Test
  void theRoomsOfMembershipStandOnEachOther() {
    expectStack(
        "org.mxfs.daemon.core.membership.",
        List.of(
            "Beat",
            "Slot",
            "Departed",
            "Outcast",
            "SlotTable",
            "Silence",
            "Suspicion",
            "SlotRules",
            "Heartbeat"));
  }

  /** From the ground up: each knows only those that stand before it. */
  @Test
  void theRoomsOfOwnershipStandOnEachOther() {
    List<String> rooms =
        List.of(
            "Outbox",
            "Permit",
            "Phase",
            "DeadLives",
            "TenureRules",
            "Situation",
            "HolderView",
            "Neighbours",
            "WaitQueue",
            "ArrayDialogue",
            "Attachment",
            "Pulse",
            "MixedNodes",
            "Guard",
            "Departure",
            "Registrar",
            "KeyTidier",
            "LeaseKeeper",
            "Takeover",
            "Claim",
            "Handover",
            "Joining",
            "Overview",
            "Ownership");
    expectStack("org.mxfs.daemon.core.ownership.", rooms);
  }

  /** From the ground up: each knows only those that stand before it. */
  @Test
  void theRoomsOfLocksStandOnEachOther() {
    List<String> rooms =
        List.of(
            "Mode",
            "ResourceType",
            "ResourceId",
            "ViewId",
            "View",
            "Mastering",
            "LockId",
            "ValueBlock",
            "Refusal",
            "LockSettings",
            "Cleared",
            "SlotWrite",
            "LockMessage",
            "Envelope",
            "LockEvent",
            "LockAction",
            "LockOutbox",
            "Links",
            "Lock|Resource",
            "SlotPool",
            "GrantBatch",
            "LockTable",
            "Holdings",
            "Deadlock",
            "LockManager",
            "RangeOwner",
            "RangeLock",
            "RangeIndex",
            "RangeLocks");
    expectStack("org.mxfs.daemon.core.lock.", rooms);
  }

  private static void onlyMaker(String inPackage, String maker, Class<?>... made) {
    for (Class<?> one : made) {
      noClasses()
          .that()
          .resideInAPackage(inPackage)
          .and()
          .doNotHaveFullyQualifiedName(maker)
          .should()
          .callConstructorWhere(
              DescribedPredicate.describe(
                  "makes " + one.getSimpleName(),
                  call -> call.getTargetOwner().isEquivalentTo(one)))
          .check(CLASSES);
    }
  }

  private static void expectStack(String prefix, List<String> rooms) {
    List<String> found =
        CLASSES.stream()
            .map(JavaClass::getName)
            .filter(name -> name.startsWith(prefix))
            .map(name -> name.substring(prefix.length()).replaceFirst("\\$.*", ""))
            .filter(name -> !name.equals("package-info"))
            .distinct()
            .toList();
    assertThat(rooms.stream().flatMap(room -> Stream.of(room.split("\\|"))))
        .as("all rooms")
        .containsAll(found);
    for (int i = 0; i < rooms.size(); i++) {
      List<String> above =
          rooms.subList(i + 1, rooms.size()).stream()
              .flatMap(room -> Stream.of(room.split("\\|")))
              .toList();
      noClasses()
          .that()
          .haveNameMatching("\\Q" + prefix + "\\E(" + rooms.get(i) + ")(\\$.*)?")
          .should()
          .dependOnClassesThat(
              DescribedPredicate.describe(
                  "stand above " + rooms.get(i),
                  c ->
                      c.getName().startsWith(prefix)
                          && above.contains(
                              c.getName().substring(prefix.length()).replaceFirst("\\$.*", ""))))
          .allowEmptyShould(true)
          .check(CLASSES);
    }
  }
}
