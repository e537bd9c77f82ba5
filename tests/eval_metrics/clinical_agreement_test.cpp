#include "libradgpt/eval/metrics/clinical_agreement.h"

#include <string>
#include <vector>

#include "tests/catch.h"

using namespace radgpt;

namespace {

constexpr auto kPresent = FindingStatus::kPresent;
constexpr auto kAbsent = FindingStatus::kAbsent;
constexpr auto kUncertain = FindingStatus::kUncertain;

std::vector<ClinicalFact> facts(const std::string& text) { return read_clinical_facts(text).facts; }

/// The status of the one finding of a text.
FindingStatus status(const std::string& text) {
  const std::vector<ClinicalFact> found = facts(text);
  REQUIRE(found.size() == 1);
  return found[0].status;
}

Laterality side(const std::string& text) {
  const std::vector<ClinicalFact> found = facts(text);
  REQUIRE(found.size() == 1);
  return found[0].laterality;
}

std::vector<int64_t> lengths(const std::string& text) {
  return read_clinical_facts(text).measurements;
}

}  // namespace

TEST_CASE("Clinical facts: a finding has the last side before it in its sentence") {
  CHECK(side("左侧大脑中动脉狭窄") == Laterality::kLeft);
  CHECK(side("右侧大脑中动脉M1段，局限性狭窄") == Laterality::kRight);
  CHECK(side("双侧胸腔积液") == Laterality::kBoth);
  CHECK(side("两肺肺气肿") == Laterality::kBoth);
  CHECK(side("左肺上叶纹理清，右肺下叶见结节") == Laterality::kRight);
  CHECK(side("右肺清晰。结节") == Laterality::kNone);
  CHECK(side("右肺清晰；结节") == Laterality::kNone);
}

TEST_CASE("Clinical facts: an organ without sides takes the side back") {
  CHECK(side("右肺上叶纹理清，纵隔淋巴结肿大") == Laterality::kNone);
  CHECK(side("左肺清晰，肝囊肿") == Laterality::kNone);
  CHECK(side("左肺清晰，肝右叶囊肿") == Laterality::kRight);
}

TEST_CASE("Clinical facts: a negation reaches to the end of its clause, through chains") {
  const std::vector<ClinicalFact> chain = {{"结节", Laterality::kNone, kAbsent},
                                           {"占位", Laterality::kNone, kAbsent},
                                           {"实变", Laterality::kNone, kAbsent}};
  CHECK(facts("未见结节、肿块及实变") == chain);
  const std::vector<ClinicalFact> two = {{"结节", Laterality::kNone, kAbsent},
                                         {"钙化", Laterality::kNone, kPresent}};
  CHECK(facts("未见结节，可见钙化") == two);
  CHECK(facts("无结节；可见钙化") == two);
  CHECK(facts("可见钙化，无结节").front().status == kPresent);
}

TEST_CASE("Clinical facts: 无 in 无回声 denies nothing") {
  CHECK(status("左叶见无回声结节") == kPresent);
  CHECK(status("左叶无结节") == kAbsent);
}

TEST_CASE("Clinical facts: doubt is told from denial") {
  CHECK(status("转移不除外") == kUncertain);
  CHECK(status("不除外转移") == kUncertain);
  CHECK(status("转移除外") == kAbsent);
  CHECK(status("除外转移") == kAbsent);
  CHECK(status("考虑脑膜瘤") == kUncertain);
  CHECK(status("不考虑脑膜瘤") == kAbsent);
  CHECK(status("炎症可能") == kUncertain);
  CHECK(status("可能为炎症") == kUncertain);
  CHECK(status("结核？") == kUncertain);
  CHECK(status("结核待排") == kUncertain);
  CHECK(status("结核阴性") == kAbsent);
  CHECK(status("右肺炎症") == kPresent);
  CHECK(status("无转移可能") == kAbsent);  // absent goes before uncertain
}

TEST_CASE("Clinical facts: doubt stays in its clause, and does not reach back over 考虑") {
  const std::vector<ClinicalFact> expected = {{"占位", Laterality::kRight, kPresent},
                                              {"癌", Laterality::kRight, kUncertain}};
  CHECK(facts("右肺占位，考虑肺癌") == expected);
  CHECK(facts("右肺占位考虑肺癌") == expected);
}

TEST_CASE("Clinical facts: the longest term counts, and synonyms are one finding") {
  CHECK(facts("磨玻璃结节").front().finding == "结节");
  CHECK(facts("磨玻璃影").front().finding == "磨玻璃影");
  CHECK(facts("占位性病变") == facts("肿块"));
  CHECK(facts("双侧胸水") == facts("双侧胸腔积液"));
  CHECK(facts("结节，结节").size() == 1);
}

TEST_CASE("Measurements: lengths in millimetres and centimetres are equal") {
  CHECK(lengths("大小约8mm×6mm") == std::vector<int64_t>{600, 800});
  CHECK(lengths("0.8cm×0.6cm") == lengths("8mm×6mm"));
  CHECK(lengths("8×6mm") == std::vector<int64_t>{600, 800});
  CHECK(lengths("2.7*3.4CM") == std::vector<int64_t>{2700, 3400});
  CHECK(lengths("８ｍｍ，厚约5毫米") == std::vector<int64_t>{500, 800});
  CHECK(lengths("3-5 mm") == std::vector<int64_t>{300, 500});
}

TEST_CASE("Measurements: other numbers are left out") {
  CHECK(lengths("1.结节。2.囊肿。建议6个月后复查，TI-RADS 4类，T2WI，第5肋").empty());
  CHECK(lengths("流速45cm/s").empty());
  CHECK(lengths("8、6mm") == std::vector<int64_t>{600});
  CHECK(lengths("99999999999999999999mm").empty());
  CHECK(lengths("8×").empty());
}

TEST_CASE("Clinical agreement: a wrong side is one error of one") {
  const ClinicalAgreement wrong =
      compare_clinically("左侧大脑中动脉M1段狭窄", "右侧大脑中动脉M1段狭窄");
  CHECK(wrong.laterality_compared == 1);
  CHECK(wrong.laterality_errors == 1);
  CHECK(wrong.negation_compared == 1);
  CHECK(wrong.negation_errors == 0);
  CHECK(wrong.laterality_agreement() == 0.0);
  CHECK(wrong.negation_agreement() == 1.0);
}

TEST_CASE("Clinical agreement: only what both texts locate is compared") {
  CHECK(compare_clinically("结节", "右肺结节").laterality_compared == 0);
  CHECK(compare_clinically("左侧未见结节", "右肺结节").laterality_compared == 0);
  CHECK(compare_clinically("左肺囊肿", "右肺结节").laterality_compared == 0);
  // The reference has nodules right and left, the text only one, at a place that is right.
  const ClinicalAgreement some = compare_clinically("左肺结节", "右肺结节。左肺结节。");
  CHECK(some.laterality_compared == 1);
  CHECK(some.laterality_errors == 0);
  CHECK(compare_clinically("右肺结节。左肺结节。", "左肺结节") == some);
}

TEST_CASE("Clinical agreement: a lost negation and a lost doubt are errors") {
  CHECK(compare_clinically("可见结节", "未见结节").negation_errors == 1);
  CHECK(compare_clinically("转移", "转移不除外").negation_errors == 1);
  CHECK(compare_clinically("无肿块", "未见占位").negation_errors == 0);
  CHECK(compare_clinically("无肿块", "未见占位").negation_compared == 1);
}

TEST_CASE("Clinical agreement: numbers count as often as they stand there") {
  const ClinicalAgreement numbers = compare_clinically("8mm×8mm", "0.8cm×0.6cm，5mm");
  CHECK(numbers.numbers_matched == 1);
  CHECK(numbers.numbers_generated == 2);
  CHECK(numbers.numbers_reference == 3);
  CHECK(numbers.number_f1() == 2.0 / 5);
}

TEST_CASE("Clinical agreement: counts of a corpus add up, and nothing compared has no rate") {
  ClinicalAgreement sum = compare_clinically("左肺结节8mm", "右肺结节8mm");
  sum += compare_clinically("左肺结节", "左肺结节");
  CHECK(sum.laterality_compared == 2);
  CHECK(sum.laterality_agreement() == 0.5);
  CHECK(sum.number_f1() == 1.0);
  const ClinicalAgreement nothing = compare_clinically("", "右肺结节");
  CHECK_FALSE(nothing.laterality_agreement().has_value());
  CHECK_FALSE(nothing.negation_agreement().has_value());
  CHECK_FALSE(nothing.number_f1().has_value());
}

TEST_CASE("Clinical facts: broken bytes are read over") {
  CHECK(facts("\xE5\xB7\xFF左肺结节\xE7").size() == 1);
}
