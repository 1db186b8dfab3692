// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class XfsOptionsTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "''                            | ''",
        "logbsize=64k,discard          | discard,logbsize=65536",
        "discard,logbsize=65536        | discard,logbsize=65536",
        "inode64                       | ''",
        "discard,nodiscard             | ''",
        "nodiscard,discard             | discard",
        "inode64,inode32               | inode32",
        "allocsize=1m,allocsize=64K    | allocsize=65536",
        "nouuid,swalloc                | swalloc",
        "sunit=8,swidth=8              | sunit=8,swidth=8",
        "nogrpid                       | ''",
        "grpid,nogrpid                 | ''",
        "nogrpid,grpid                 | grpid",
        "bsdgroups                     | grpid",
        "grpid,sysvgroups              | ''",
        "dax                           | dax=always",
        "dax=always,dax=inode          | ''",
        "allocsize=99999999999k,x=k    | allocsize=99999999999k,x=k",
      })
  void whatMeansTheSameLooksTheSame(String given, String form) {
    assertThat(XfsOptions.normalised(given)).isEqualTo(form);
  }
}
