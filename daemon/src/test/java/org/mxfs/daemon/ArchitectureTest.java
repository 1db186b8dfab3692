// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

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
            "org.mxfs.daemon.kernel..",
            "org.mxfs.daemon.array..",
            "org.mxfs.daemon.peer..",
            "org.mxfs.daemon.discovery..",
            "org.mxfs.daemon.log..",
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
    for (String edge : new String[] {"kernel", "array", "peer", "discovery", "log"}) {
      noClasses()
          .that()
          .resideInAPackage("org.mxfs.daemon." + edge + "..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              java.util.stream.Stream.of("kernel", "array", "peer", "discovery", "log", "main")
                  .filter(other -> !other.equals(edge))
                  .map(other -> "org.mxfs.daemon." + other + "..")
                  .toArray(String[]::new))
          .allowEmptyShould(true)
          .check(CLASSES);
    }
  }
}
