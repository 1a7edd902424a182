package org.shipmate.generator;

/** A schema or an option that code cannot be generated from; the text says what to change. */
final class GeneratorException extends RuntimeException {
  private static final long serialVersionUID = 1;

  GeneratorException(String message) {
    super(message);
  }
}
