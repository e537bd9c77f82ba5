#include "libradgpt/data/report_reader.h"

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/data/scratch_file.h"

using namespace radgpt;

namespace {

ReportFile read(const std::string& content, ReportSource source = {}) {
  const ScratchFile file(content);
  source.path = file.path();
  return read_reports(source);
}

/// What reading `content` says, with the file's name as F.
std::string message_of(const std::string& content, ReportSource source = {}) {
  const ScratchFile file(content);
  source.path = file.path();
  try {
    read_reports(source);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    const std::string message = error.what();
    REQUIRE(message.find(file.path()) == 0);
    CHECK(message.find('\n') == std::string::npos);
    return "F" + message.substr(file.path().size());
  }
  return "accepted";
}

const std::string kGood =
    R"({"id":"a","patient":"p","centre":"north","modality":"CT","findings":"双肺清晰。"})";

/// kGood with `from` as `to`.
std::string with(const std::string& from, const std::string& to) {
  const size_t at = kGood.find(from);
  REQUIRE(at != std::string::npos);
  return std::string(kGood).replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("Report reader: texts, labels and place of a report") {
  const ReportFile file = read(
      R"({"id":"a","patient":"p","centre":"north","modality":"CT","findings":"双肺清晰。",)"
      R"("impression":null,"brief":"清晰","age":50,"mirrored":true,"extra":["x"],)"
      R"("labels":{"abnormal":"no","organ":"lung","n":3,"old":false,"sites":["a"],"none":null}})"
      "\n");
  REQUIRE(file.reports.size() == 1);
  const Report& report = file.reports[0];
  CHECK(report.id == "a");
  CHECK(report.patient == "p");
  CHECK(report.centre == "north");
  CHECK(report.modality == "CT");
  CHECK(report.texts ==
        std::map<std::string, std::string>{{"findings", "双肺清晰。"}, {"brief", "清晰"}});
  CHECK(report.labels == std::map<std::string, std::string>{
                             {"abnormal", "no"}, {"organ", "lung"}, {"n", "3"}, {"old", "false"}});
  CHECK(report.source.line == 1);
}

TEST_CASE("Report reader: fields may have other names") {
  ReportSource source;
  source.id_field = "检查号";
  source.patient_field = "病人";
  source.centre_field = "医院";
  source.modality_field = "类型";
  const ReportFile file =
      read(R"({"检查号":"1","病人":"2","医院":"3","类型":"4","findings":"见","id":"x"})", source);
  CHECK(file.reports[0].id == "1");
  CHECK(file.reports[0].patient == "2");
  CHECK(file.reports[0].centre == "3");
  CHECK(file.reports[0].modality == "4");
  CHECK(file.reports[0].texts.count("id") == 1);
}

TEST_CASE("Report reader: centre and modality of the source are for lines without their own") {
  ReportSource source;
  source.centre = "south";
  source.modality = "US";
  const ReportFile file = read(R"({"id":"a","patient":"p","findings":"见"})"
                               "\n"
                               R"({"id":"b","patient":"p","centre":"north","modality":null})"
                               "\n",
                               source);
  CHECK(file.reports[0].centre == "south");
  CHECK(file.reports[0].modality == "US");
  CHECK(file.reports[1].centre == "north");
  CHECK(file.reports[1].modality == "US");
}

TEST_CASE("Report reader: without patients each report is its own") {
  ReportSource source;
  source.patient_field = "";
  const ReportFile file = read(R"({"id":"a","centre":"c","modality":"m"})", source);
  CHECK(file.reports[0].patient == "a");
}

TEST_CASE("Report reader: bad fields are refused by line, key and rule, without their text") {
  struct Case {
    std::string line;
    std::string message;
  };
  const Case bad = GENERATE_COPY(values<Case>({
      {with(R"("id":"a",)", ""), "F:1: id: must be text that is not blank, but is missing"},
      {with(R"("a")", "null"), "F:1: id: must be text that is not blank, got null"},
      {with(R"("a")", "7"), "F:1: id: must be text that is not blank, got an integer"},
      {with(R"("a")", R"("")"), "F:1: id: must be text that is not blank, got a string of 0 bytes"},
      {with(R"("patient":"p",)", ""),
       "F:1: patient: must be text that is not blank (or data.group_by must be none), but is "
       "missing"},
      {with(R"("north")", R"(" ")"),
       "F:1: centre: must be text that is not blank, got a string of 1 bytes"},
      {with(R"("modality":"CT",)", ""),
       "F:1: modality: must be text that is not blank, but is missing"},
      {with(R"("双肺清晰。")", "12"),
       "F:1: findings: must be text that is not blank, or null, got an integer"},
      {with("双肺清晰。", ""),
       "F:1: findings: must be text that is not blank, or null, got a string of 0 bytes"},
      {with("双肺清晰。", "　\\n"),
       "F:1: findings: must be text that is not blank, or null, got a string of 4 bytes"},
      {with(R"("findings":"双肺清晰。")", R"("labels":["a"])"),
       "F:1: labels: must be an object or null, got an array of 1 values"},
  }));
  CAPTURE(bad.line);
  CHECK(message_of(bad.line) == bad.message);
  CHECK(message_of(bad.line).find("双肺") == std::string::npos);
}

TEST_CASE("Report reader: a repeated key, a repeated id and broken JSON are bad lines") {
  CHECK(message_of(with(R"("id":"a")", R"("id":"a","id":"b")")).find("F:1:") == 0);
  CHECK(message_of(kGood + "\n" + kGood) ==
        "F:2: id: must be unique in the file, got that of line 1");
  CHECK(message_of(kGood + "\n{").find("F:2: ") == 0);
  CHECK(message_of("").find("F: ") == 0);
}

TEST_CASE("Report reader: tolerates as many bad lines as allowed and lists them") {
  const std::string content = with(R"("a")", "1") + "\n" + kGood + "\n{}\n";
  ReportSource source;
  source.max_bad_lines = 2;
  const ReportFile file = read(content, source);
  REQUIRE(file.reports.size() == 1);
  CHECK(file.reports[0].source.line == 2);
  REQUIRE(file.bad_lines.size() == 2);
  CHECK(file.bad_lines[1].find(":3: id: ") != std::string::npos);
  source.max_bad_lines = 1;
  CHECK(message_of(content, source).find("F:3: id: ") == 0);
  source.max_bad_lines = 5;
  CHECK(message_of("{}\n{}\n", source).find("F: must hold at least one JSON object") == 0);
}
