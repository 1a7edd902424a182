package org.shipmate.generator;

/** Java source, indented by its braces. */
final class Code {
  private final StringBuilder text = new StringBuilder();
  private int depth;

  /**
   * Adds lines. One that begins with a closing brace is indented less, what follows an opening one
   * more.
   */
  Code add(String lines, Object... arguments) {
    String formatted = arguments.length == 0 ? lines : lines.formatted(arguments);
    for (String line : formatted.stripTrailing().split("\n", -1)) {
      line = line.strip();
      if (line.startsWith("}") || line.startsWith(")")) {
        depth--;
      }
      // What stands between a comment's ends is one further to the right.
      String indent = "  ".repeat(depth) + (line.startsWith("*") ? " " : "");
      text.append(line.isEmpty() ? "" : indent).append(line).append('\n');
      if (line.endsWith("{")) {
        depth++;
      }
    }
    return this;
  }

  /** Adds a schema's comment as documentation, or nothing where there is none. */
  Code document(String comment) {
    String safe =
        comment
            .strip()
            .replace("&", "&amp;")
            .replace("<", "&lt;")
            .replace(">", "&gt;")
            .replace("@", "&#64;")
            .replace("*/", "*&#47;")
            .replace("\\u", "&#92;u");
    if (safe.isEmpty()) {
      return this;
    }
    line("/**");
    for (String line : safe.split("\n", -1)) {
      line(line.isBlank() ? " * <p>" : " * " + line.strip());
    }
    return line(" */");
  }

  @Override
  public String toString() {
    return text.toString();
  }

  private Code line(String line) {
    text.append("  ".repeat(depth)).append(line).append('\n');
    return this;
  }
}
