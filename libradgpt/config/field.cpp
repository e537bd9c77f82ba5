#include "libradgpt/config/field.h"

namespace radgpt {

void FieldVisitor::operator()(const char* name, bool& field, const char* meaning) {
  see({name, meaning, FlagField{&field}});
}

void FieldVisitor::operator()(const char* name, int64_t& field, const char* meaning, int64_t low,
                              int64_t high) {
  see({name, meaning, IntegerField{&field, low, high}});
}

void FieldVisitor::operator()(const char* name, double& field, const char* meaning, double low,
                              double high) {
  see({name, meaning, NumberField{&field, {low, high}}});
}

void FieldVisitor::operator()(const char* name, double& field, const char* meaning, Range range) {
  see({name, meaning, NumberField{&field, range}});
}

void FieldVisitor::operator()(const char* name, std::string& field, const char* meaning,
                              TextKind kind, Presence presence) {
  see({name, meaning, TextField{&field, kind}, presence});
}

void FieldVisitor::operator()(const char* name, std::vector<std::string>& field,
                              const char* meaning, TextKind kind) {
  see({name, meaning, TextListField{&field, kind, {}}});
}

void FieldVisitor::operator()(const char* name, std::vector<std::string>& field,
                              const char* meaning, Names words) {
  see({name, meaning, TextListField{&field, TextKind::kPlain, words}});
}

void FieldVisitor::operator()(const char* name, LabelList& field, const char* meaning) {
  see({name, meaning, LabelsField{&field}});
}

}  // namespace radgpt
