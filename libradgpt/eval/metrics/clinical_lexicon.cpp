#include "libradgpt/eval/metrics/clinical_lexicon.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <unordered_map>

#include "libradgpt/eval/metrics/code_points.h"

namespace radgpt {
namespace {

/// A finding's canonical name and the words for it, separated by blanks. Of two that overlap the
/// longer is read, so 磨玻璃结节 is a nodule and 磨玻璃影 an opacity.
struct Synonyms {
  std::string_view finding;
  std::string_view words;
};

constexpr Synonyms kFindings[] = {
    // Lung and chest
    {"结节", "结节 磨玻璃结节 磨玻璃密度结节 钙化结节"},
    {"占位", "占位 占位性病变 肿块 肿物 团块 新生物"},
    {"磨玻璃影", "磨玻璃 毛玻璃"},
    {"实变", "实变"},
    {"斑片影", "斑片影 斑片状影 斑片状高密度影 片状影 渗出"},
    {"炎症", "炎症 炎性病变 炎性改变 感染 感染性病变 肺炎"},
    {"条索影", "条索 条索影 条索状 纤维灶 纤维条索"},
    {"陈旧灶", "陈旧灶 陈旧性病灶 陈旧性病变"},
    {"钙化", "钙化 钙化灶"},
    {"积液", "积液 胸腔积液 胸水 心包积液 腹水 腹腔积液 液体密度影"},
    {"气胸", "气胸"},
    {"肺气肿", "肺气肿 透亮度增高"},
    {"肺大疱", "肺大疱 肺大泡"},
    {"支气管扩张", "支气管扩张 支扩"},
    {"肺不张", "肺不张 不张"},
    {"胸膜增厚", "胸膜增厚 胸膜肥厚 胸膜局部增厚"},
    {"支气管充气征", "支气管充气征 空气支气管征"},
    {"毛刺", "毛刺 短毛刺"},
    {"分叶", "分叶 分叶征"},
    {"空洞", "空洞"},
    {"结核", "结核 肺结核"},
    {"动脉硬化", "动脉硬化 主动脉硬化 冠状动脉硬化"},
    // Brain
    {"梗死", "梗死 脑梗死 梗塞 脑梗塞 脑梗"},
    {"出血", "出血 脑出血 血肿"},
    {"微出血", "微出血 微出血灶"},
    {"水肿", "水肿"},
    {"软化灶", "软化灶"},
    {"白质变性", "白质变性 脑白质变性 脱髓鞘 白质疏松"},
    {"脑萎缩", "脑萎缩"},
    {"脑积水", "脑积水"},
    {"脑膜瘤", "脑膜瘤"},
    {"胶质瘤", "胶质瘤"},
    {"垂体瘤", "垂体瘤 垂体腺瘤"},
    {"动脉瘤", "动脉瘤 颈内动脉瘤"},
    {"狭窄", "狭窄"},
    {"闭塞", "闭塞"},
    {"移位", "移位"},
    {"鼻窦炎", "鼻窦炎 副鼻窦炎 上颌窦炎 筛窦炎 黏膜增厚 粘膜增厚"},
    {"乳突炎", "乳突炎"},
    {"空泡蝶鞍", "空泡蝶鞍"},
    {"蛛网膜囊肿", "蛛网膜囊肿"},
    {"异常信号", "异常信号"},
    {"强化", "强化 异常强化 环形强化 均匀强化"},
    {"不均匀强化", "不均匀强化"},
    // Thyroid and neck
    {"点状强回声", "点状强回声 强光点 微钙化"},
    {"弥漫性病变", "弥漫性病变 弥漫性改变"},
    {"胶质沉积", "胶质沉积 胶质潴留"},
    {"斑块", "斑块"},
    {"腺瘤", "腺瘤"},
    // Everywhere
    {"淋巴结肿大", "淋巴结肿大 淋巴结增大 肿大淋巴结 异常淋巴结"},
    {"转移", "转移 转移瘤 转移性"},
    {"癌", "癌 肺癌 乳腺癌 甲状腺癌 肝癌"},
    {"恶性", "恶性"},
    {"良性", "良性"},
    {"囊肿", "囊肿"},
    {"结石", "结石"},
    {"骨折", "骨折"},
    {"骨质破坏", "骨质破坏"},
    {"退行性变", "退行性变 退变 骨质增生"},
    {"术后", "术后 术后改变 缺如"},
    {"扩张", "扩张"},
    {"病变", "病变"},
    {"异常", "异常"},
};

struct Cues {
  TermRole role;
  std::string_view words;
};

constexpr Cues kCues[] = {
    {TermRole::kLeft, "左"},
    {TermRole::kRight, "右"},
    {TermRole::kBothSides, "双 两侧 两肺 两叶 两肾 两乳 两上 两下"},
    {TermRole::kMidline,
     "纵隔 气管 隆突 心包 心影 心脏 主动脉 食管 胸椎 腰椎 颈椎 胸骨 肝 脾 胰 胆囊 脑桥 脑干 脑室 "
     "胼胝体 大脑镰 中线 垂体 松果体 鞍区 枕大池 鼻咽 脑实质 峡部 腺体 舌骨 颈前区"},
    {TermRole::kNegation,
     "无 未见 未及 未探及 未发现 未显示 未示 未闻及 没有 不伴 否认 不考虑 不支持 已排除 已除外"},
    {TermRole::kNegationEither, "除外 排除"},
    {TermRole::kNegationBefore, "阴性"},
    {TermRole::kDoubt, "考虑 疑 可疑 疑似 怀疑 倾向 可能为 可能是 不能排除 未能排除 警惕"},
    {TermRole::kDoubtEither, "可能 不除外 不排除 不能除外 未除外 待排 待排除"},
    {TermRole::kDoubtBefore, "待定 待查 ?"},
    {TermRole::kNeutral, "无回声 无名 左右 侧脑室 不规则 性质 支气管 彗星尾征"},
};

using Lexicon = std::unordered_map<std::u32string, Term>;

void add_words(Lexicon& lexicon, std::string_view words, Term term) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    const std::u32string word = code_points(words.substr(0, end));
    term.length = word.size();
    lexicon.emplace(word, term);
    words.remove_prefix(std::min(end + 1, words.size()));
  }
}

Lexicon make_lexicon() {
  Lexicon lexicon;
  for (const Synonyms& entry : kFindings) {
    add_words(lexicon, entry.words, {.role = TermRole::kFinding, .finding = entry.finding});
  }
  for (const Cues& entry : kCues)
    add_words(lexicon, entry.words, {.role = entry.role, .finding = {}});
  return lexicon;
}

}  // namespace

Term longest_term(std::u32string_view text, size_t begin) {
  static const Lexicon lexicon = make_lexicon();
  static const size_t longest =
      std::max_element(lexicon.begin(), lexicon.end(), [](const auto& a, const auto& b) {
        return a.first.size() < b.first.size();
      })->first.size();
  for (size_t length = std::min(longest, text.size() - begin); length > 0; --length) {
    const auto found = lexicon.find(std::u32string(text.substr(begin, length)));
    if (found != lexicon.end()) return found->second;
  }
  return {};
}

}  // namespace radgpt
