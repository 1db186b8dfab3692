// SPDX-License-Identifier: Apache-2.0
package org.mxfs.daemon.log;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.jspecify.annotations.Nullable;
import org.slf4j.Marker;
import org.slf4j.event.Level;
import org.slf4j.helpers.AbstractLogger;
import org.slf4j.helpers.MessageFormatter;

/** A logger that writes one line an event; a stack trace only at debug level. */
final class LineLogger extends AbstractLogger {
  private static final long serialVersionUID = 1L;

  private final transient DaemonLog log;

  LineLogger(String name, DaemonLog log) {
    this.name = name;
    this.log = log;
  }

  @Override
  protected String getFullyQualifiedCallerName() {
    return LineLogger.class.getName();
  }

  @Override
  protected void handleNormalizedLoggingCall(
      Level level,
      @Nullable Marker marker,
      String pattern,
      Object @Nullable [] arguments,
      @Nullable Throwable thrown) {
    String text = MessageFormatter.basicArrayFormat(pattern, arguments);
    if (thrown != null) {
      text = text + ": " + thrown;
      if (log.isEnabled(Level.DEBUG)) {
        StringWriter trace = new StringWriter();
        thrown.printStackTrace(new PrintWriter(trace));
        text = text + "\n" + trace;
      }
    }
    log.write(name, level, String.valueOf(pattern), text);
  }

  @Override
  public boolean isTraceEnabled() {
    return log.isEnabled(Level.TRACE);
  }

  @Override
  public boolean isTraceEnabled(Marker marker) {
    return isTraceEnabled();
  }

  @Override
  public boolean isDebugEnabled() {
    return log.isEnabled(Level.DEBUG);
  }

  @Override
  public boolean isDebugEnabled(Marker marker) {
    return isDebugEnabled();
  }

  @Override
  public boolean isInfoEnabled() {
    return log.isEnabled(Level.INFO);
  }

  @Override
  public boolean isInfoEnabled(Marker marker) {
    return isInfoEnabled();
  }

  @Override
  public boolean isWarnEnabled() {
    return log.isEnabled(Level.WARN);
  }

  @Override
  public boolean isWarnEnabled(Marker marker) {
    return isWarnEnabled();
  }

  @Override
  public boolean isErrorEnabled() {
    return log.isEnabled(Level.ERROR);
  }

  @Override
  public boolean isErrorEnabled(Marker marker) {
    return isErrorEnabled();
  }
}
