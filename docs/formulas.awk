# Lines of a comment that are indented, formulas and tables, stay as they are: doxygen would make one
# paragraph of them. Lists it knows. No line is added, so that its warnings name lines of the header.
function is_indented(line) { return line ~ /^ *\/\/\/   +[^ ]/ }
function emit(line, next_line) {
  if (!is_indented(line)) list = 0
  if (line ~ /^ *\/\/\/   +- /) list = 1
  if (is_indented(line) && !list) {
    gsub(/&/, "\\&amp;", line)
    gsub(/</, "\\&lt;", line)
    gsub(/>/, "\\&gt;", line)
    gsub(/\*/, "\\&lowast;", line)
    if (!inside) sub(/\/\/\/  /, "/// <pre> ", line)
    inside = is_indented(next_line)
    if (!inside) line = line "</pre>"
  }
  print line
}
NR > 1 { emit(held, $0) }
{ held = $0 }
END { if (NR) emit(held, "") }
