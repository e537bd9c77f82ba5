#include "libradgpt/data/task.h"

namespace radgpt {

std::vector<Task> default_tasks() {
  const std::string findings = "影像所见：{findings}";
  return {
      {.name = "abnormal",
       .kind = TaskKind::kClassification,
       .context = findings,
       .question = "根据影像所见，判断检查结果为阳性还是阴性。",
       .answer = "{label:abnormal}",
       .labels = {{"yes", "阳性"}, {"no", "阴性"}}},
      {.name = "disease",
       .kind = TaskKind::kClassification,
       .context = findings,
       .question = "根据影像所见，判断主要疾病。",
       .answer = "{label:disease}",
       .labels = {{"pneumonia", "肺炎"},
                  {"lung_nodule", "肺结节"},
                  {"lung_mass", "肺部肿块"},
                  {"cerebral_infarction", "脑梗死"},
                  {"cerebral_hemorrhage", "脑出血"},
                  {"brain_tumour", "脑肿瘤"},
                  {"benign_thyroid_nodule", "甲状腺良性结节"},
                  {"suspicious_thyroid_nodule", "甲状腺可疑结节"},
                  {"none", "无主要疾病"}}},
      {.name = "summary",
       .kind = TaskKind::kGeneration,
       .context = findings,
       .question = "根据影像所见，给出影像诊断。",
       .answer = "{impression}",
       .labels = {}},
      {.name = "expansion",
       .kind = TaskKind::kGeneration,
       .context = "影像要点：{brief}",
       .question = "根据影像要点，写出完整的影像所见。",
       .answer = "{findings}",
       .labels = {}},
  };
}

}  // namespace radgpt
