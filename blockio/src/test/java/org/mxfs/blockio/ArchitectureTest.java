// SPDX-License-Identifier: Apache-2.0

package org.mxfs.blockio;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** What this module may use: the JDK, and the system calls and layouts of the bindings. */
class ArchitectureTest {
  private static final JavaClasses MODULE =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("org.mxfs.blockio");

  @Test
  void theModuleUsesTheJdkAndTheBindingsOnly() {
    classes()
        .should()
        .onlyDependOnClassesThat()
        .resideInAnyPackage(
            "java..",
            "org.mxfs.blockio..",
            "org.mxfs.bindings",
            "org.mxfs.bindings.linux",
            "org.jspecify..")
        .check(MODULE);
  }

  @Test
  void nativeFunctionsAreNotLinkedHereNorAddressesTurnedIntoMemory() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .haveFullyQualifiedName("java.lang.foreign.Linker")
        .orShould()
        .dependOnClassesThat()
        .haveFullyQualifiedName("java.lang.foreign.SymbolLookup")
        .orShould()
        .callMethod(MemorySegment.class, "reinterpret", long.class)
        .orShould()
        .callMethod(MemorySegment.class, "reinterpret", long.class, Arena.class, Consumer.class)
        .check(MODULE);
  }
}
