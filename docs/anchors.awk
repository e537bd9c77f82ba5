# Gives each heading the anchor that GitHub gives it, by which the pages refer to it.
/^```/ { code = !code }
/^##+ / && !code {
  anchor = tolower($0)
  gsub(/^#+ +/, "", anchor)
  gsub(/[^a-z0-9 _-]/, "", anchor)
  gsub(/ /, "-", anchor)
  $0 = $0 " {#" anchor "}"
}
{ print }
