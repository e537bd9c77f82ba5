#include "libradgpt/data/simulate.h"

#include <stdlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/data/report_reader.h"
#include "libradgpt/data/simulate_case.h"
#include "libradgpt/eval/metrics/clinical_agreement.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

/// A folder of its own, gone with the object.
class ScratchFolder {
 public:
  ScratchFolder() : path_(std::filesystem::temp_directory_path() / "radgpt_simulate_XXXXXX") {
    REQUIRE(mkdtemp(path_.data()) != nullptr);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Enough for every kind of lesion to occur many times.
constexpr uint64_t kMany = 20000;

const std::vector<Report>& many_reports() {
  static const std::vector<Report> reports = [] {
    std::vector<Report> result;
    for (uint64_t i = 0; i < kMany; ++i) result.push_back(simulate_report(1, i));
    return result;
  }();
  return reports;
}

const std::string& text(const Report& report, const char* name) { return report.texts.at(name); }

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string written(uint64_t count, uint64_t seed) {
  const ScratchFolder folder;
  write_simulated_reports(folder.file("reports"), count, seed);
  return read_file(folder.file("reports/reports.jsonl"), uint64_t{1} << 30);
}

/// The numbered items of an impression, without what separates them.
std::vector<std::string> items(const std::string& impression) {
  static const std::regex separator("(^|。|；)([1-9](\\.|、))?");
  std::vector<std::string> result;
  const std::sregex_token_iterator end;
  for (std::sregex_token_iterator it(impression.begin(), impression.end(), separator, -1);
       it != end; ++it) {
    if (!it->str().empty()) result.push_back(it->str());
  }
  return result;
}

std::vector<std::string> sentences(const std::string& findings) {
  static const std::regex separator("。|；");
  return {std::sregex_token_iterator(findings.begin(), findings.end(), separator, -1),
          std::sregex_token_iterator()};
}

}  // namespace

TEST_CASE("Simulation: the same seed writes the same bytes, and another seed others") {
  const std::string bytes = written(300, 7);
  CHECK(bytes == written(300, 7));
  CHECK(bytes != written(300, 8));
}

TEST_CASE("Simulation: a longer data set begins with a shorter one") {
  const std::string longer = written(300, 7);
  const std::string shorter = written(101, 7);
  CHECK(longer.substr(0, shorter.size()) == shorter);
}

TEST_CASE("Simulation: the file is one the report reader takes, and the only one") {
  const ScratchFolder folder;
  write_simulated_reports(folder.path(), 50, 3);
  ReportSource source;
  source.path = folder.file("reports.jsonl");
  const ReportFile file = read_reports(source);
  REQUIRE(file.reports.size() == 50);
  for (uint64_t i = 0; i < 50; ++i) {
    const Report expected = simulate_report(3, i);
    CHECK(file.reports[i].id == expected.id);
    CHECK(file.reports[i].patient == expected.patient);
    CHECK(file.reports[i].centre == expected.centre);
    CHECK(file.reports[i].modality == expected.modality);
    CHECK(file.reports[i].texts == expected.texts);
    CHECK(file.reports[i].labels == expected.labels);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("Simulation: a folder that cannot be made is an error that leaves nothing") {
  const ScratchFolder folder;
  write_file_atomically(folder.file("plain"), "x");
  try {
    write_simulated_reports(folder.file("plain"), 5, 0);
    FAIL("must throw");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kEnvironment);
    CHECK(contains(error.what(), folder.file("plain")));
  }
}

TEST_CASE("Simulation: of 100,000 reports 99 % are distinct") {
  std::unordered_set<std::string> findings;
  constexpr uint64_t kReports = 100000;
  for (uint64_t i = 0; i < kReports; ++i) findings.insert(text(simulate_report(0, i), "findings"));
  CHECK(findings.size() >= kReports * 99 / 100);
}

TEST_CASE("Simulation: hardly any two patients share their findings") {
  std::map<std::string, std::set<std::string>> patients;
  for (const Report& report : many_reports()) {
    patients[text(report, "findings")].insert(report.patient);
  }
  const auto shared = std::count_if(patients.begin(), patients.end(),
                                    [](const auto& entry) { return entry.second.size() > 1; });
  CHECK(shared <= 5);  // expected is about a third of one
}

TEST_CASE("Simulation: no label of a task is a good guess at either centre") {
  for (const std::string centre : {"north", "south"}) {
    std::map<std::string, double> diseases;
    double reports = 0;
    double abnormal = 0;
    for (const Report& report : many_reports()) {
      if (report.centre != centre) continue;
      ++reports;
      abnormal += report.labels.at("abnormal") == "yes" ? 1 : 0;
      ++diseases[report.labels.at("disease")];
    }
    INFO(centre);
    CHECK(reports > 0.2 * kMany);
    CHECK(abnormal / reports > 0.35);
    CHECK(abnormal / reports < 0.65);
    CHECK(diseases.size() == 9);
    for (const auto& [disease, count] : diseases) {
      INFO(disease);
      CHECK(count / reports <= 0.5);
      CHECK(count / reports >= 0.02);
    }
  }
}

TEST_CASE("Simulation: neither label follows from the other") {
  std::map<std::string, std::set<std::string>> abnormal;
  for (const Report& report : many_reports()) {
    abnormal[report.labels.at("disease")].insert(report.labels.at("abnormal"));
  }
  for (const char* disease :
       {"none", "lung_nodule", "cerebral_infarction", "benign_thyroid_nodule"}) {
    CHECK(abnormal[disease].size() == 2);
  }
}

TEST_CASE("Simulation: the name of a disease in the findings is mostly not its diagnosis") {
  const std::map<std::string, std::set<std::string>> diseases = {
      {"结节", {"lung_nodule", "benign_thyroid_nodule", "suspicious_thyroid_nodule"}},
      {"肿块", {"lung_mass"}},
      {"占位", {"lung_mass", "brain_tumour"}},
      {"梗死", {"cerebral_infarction"}},
      {"出血", {"cerebral_hemorrhage"}},
      {"异常信号", {"cerebral_infarction", "cerebral_hemorrhage", "brain_tumour"}},
  };
  for (const auto& [word, meant] : diseases) {
    double mentions = 0;
    double others = 0;
    for (const Report& report : many_reports()) {
      if (!contains(text(report, "findings"), word)) continue;
      ++mentions;
      others += meant.count(report.labels.at("disease")) == 0 ? 1 : 0;
    }
    INFO(word);
    CHECK(mentions > 0);
    CHECK(others / mentions > 0.35);
  }
}

TEST_CASE("Simulation: impression and brief have no side and no size that the findings lack") {
  for (const char* name : {"impression", "brief"}) {
    ClinicalAgreement sum;
    for (const Report& report : many_reports()) {
      sum += compare_clinically(text(report, name), text(report, "findings"));
    }
    INFO(name);
    CHECK(sum.laterality_compared > 1000);
    CHECK(sum.laterality_errors == 0);
    CHECK(sum.numbers_generated > 1000);
    CHECK(sum.numbers_matched == sum.numbers_generated);
  }
}

TEST_CASE("Simulation: place and size of a diagnosis stand in one sentence of the findings") {
  static const std::regex lobe("(左|右)(肺(上|中|下)叶|叶|侧(额|顶|颞|枕)(叶|部))");
  static const std::regex size("（(([0-9.]+)[cm]m×([0-9.]+)[cm]m)）");
  size_t checked = 0;
  for (const Report& report : many_reports()) {
    const std::vector<std::string> seen = sentences(text(report, "findings"));
    for (const std::string& item : items(text(report, "impression"))) {
      std::smatch place;
      std::smatch extent;
      if (!std::regex_search(item, place, lobe) || !std::regex_search(item, extent, size)) continue;
      ++checked;
      CHECK(std::stod(extent[2]) >= std::stod(extent[3]));
      CHECK(std::any_of(seen.begin(), seen.end(), [&](const std::string& sentence) {
        return contains(sentence, place.str()) && contains(sentence, extent[1].str());
      }));
    }
  }
  CHECK(checked > 1000);
}

TEST_CASE("Simulation: abnormal is what the impression wants treated, followed or cleared up") {
  for (const Report& report : many_reports()) {
    const std::string& impression = text(report, "impression");
    const bool action = contains(impression, "建议") || contains(impression, "不除外");
    CHECK(action == (report.labels.at("abnormal") == "yes"));
  }
}

TEST_CASE("Simulation: the first or only diagnosis is the label's") {
  const std::map<std::string, std::regex> diagnoses = {
      {"pneumonia", std::regex("炎")},
      {"lung_nodule", std::regex("结节")},
      {"lung_mass", std::regex("肺.*占位")},
      {"cerebral_infarction", std::regex("脑梗死")},
      {"cerebral_hemorrhage", std::regex("脑出血")},
      {"brain_tumour", std::regex("占位.*瘤")},
      {"benign_thyroid_nodule", std::regex("TI-RADS [23]类")},
      {"suspicious_thyroid_nodule", std::regex("TI-RADS 4[abc]类")},
      {"none", std::regex("未见|无")}};
  for (const Report& report : many_reports()) {
    const std::vector<std::string> diagnosis = items(text(report, "impression"));
    const bool last = report.labels.at("disease") == "none" && report.centre == "south";
    const std::string& main = last ? diagnosis.back() : diagnosis.front();
    CHECK(std::regex_search(main, diagnoses.at(report.labels.at("disease"))));
  }
}

TEST_CASE("Simulation: the centres write differently") {
  const std::array<const char*, 6> north = {"mm", "双侧", "双肺", "边界清楚", "余骨质", "复查"};
  const std::array<const char*, 6> south = {"cm", "两侧", "两肺", "边缘清晰", "骨质无", "随诊"};
  std::map<std::string, int> uses;
  for (const Report& report : many_reports()) {
    const bool is_north = report.centre == "north";
    const std::string all = text(report, "findings") + text(report, "impression");
    for (const char* phrase : is_north ? south : north) CHECK_FALSE(contains(all, phrase));
    for (const char* phrase : is_north ? north : south) uses[phrase] += contains(all, phrase);
    CHECK(contains(text(report, "findings"), "；") == !is_north);
    CHECK(text(report, "impression").starts_with("1.") == is_north);
  }
  for (const auto& [phrase, count] : uses) {
    INFO(phrase);
    CHECK(count > 50);
  }
}

TEST_CASE("Simulation: a patient has up to three reports of one centre and modality") {
  std::map<std::string, std::vector<const Report*>> patients;
  for (const Report& report : many_reports()) patients[report.patient].push_back(&report);
  std::array<int, 4> visits{};
  for (const auto& [patient, reports] : patients) {
    REQUIRE(reports.size() <= 3);
    ++visits[reports.size()];
    for (size_t i = 0; i < reports.size(); ++i) {
      CHECK(reports[i]->centre == reports[0]->centre);
      CHECK(reports[i]->modality == reports[0]->modality);
      const std::string& findings = text(*reports[i], "findings");
      CHECK((contains(findings, "较前") || contains(findings, "前片")) == (i > 0));
    }
  }
  // Of every 8 reports, 3, 2, 1, 1 and 1 are of one patient.
  CHECK(visits == std::array<int, 4>{0, kMany / 8 * 3, kMany / 8, kMany / 8});
}

TEST_CASE("Simulation: a lesion that grows or shrinks quotes its size in the report before") {
  static const std::regex change(
      "大小约([0-9]+)mm×(?:(?!。).)*较前（(([0-9]+)mm×[0-9]+mm)）(增大|缩小)");
  const std::vector<Report>& reports = many_reports();
  int checked = 0;
  for (size_t i = 1; i < reports.size(); ++i) {
    std::smatch match;
    if (!std::regex_search(text(reports[i], "findings"), match, change)) continue;
    ++checked;
    CHECK(reports[i - 1].patient == reports[i].patient);
    CHECK(contains(text(reports[i - 1], "findings"), match[2].str()));
    CHECK((std::stoi(match[1]) > std::stoi(match[3])) == (match[4] == "增大"));
    CHECK(contains(text(reports[i], "impression"), "较前" + match[4].str()));
  }
  CHECK(checked > 100);
}

TEST_CASE("Simulation: texts are about as long as in the header's plan") {
  std::map<std::string, double> characters;
  for (const Report& report : many_reports()) {
    for (const auto& [name, value] : report.texts) {
      const auto continuation = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; };
      characters[name] +=
          static_cast<double>(value.size()) -
          static_cast<double>(std::count_if(value.begin(), value.end(), continuation));
    }
  }
  CHECK(characters["findings"] / kMany < 160);
  CHECK(characters["impression"] / kMany < 60);
  CHECK(characters["brief"] / kMany < 40);
}

TEST_CASE("Simulation: every kind of lesion that a table names is there") {
  for (const ModalityModel* model : {&chest_ct_model(), &brain_mri_model(), &thyroid_us_model()}) {
    std::set<std::string_view> keys;
    for (const LesionKind& kind : model->kinds) CHECK(keys.insert(kind.key).second);
    for (const LesionKind& kind : model->kinds) {
      INFO(kind.key);
      CHECK((kind.becomes.empty() || keys.count(kind.becomes) == 1));
      for (const std::string_view other : kind.companions) {
        CHECK((other.empty() || keys.count(other) == 1));
      }
      CHECK(kind.smallest <= kind.largest);
      CHECK(static_cast<size_t>(kind.region) < model->regions.size());
    }
    for (const std::string_view key : model->normal_measures) CHECK(keys.count(key) == 1);
  }
}
