#pragma once

#include <cstdint>
#include <string>

#include "libradgpt/data/report.h"

namespace radgpt {

/// Made-up Chinese radiology reports with gold labels, for the quickstart, tests and benchmarks.
///
/// Three modalities: CT (chest), MR (brain), US (thyroid). Two centres, "north" (home, three
/// quarters of the reports) and "south", with their own case mix and house style: order of the
/// findings, wording, millimetres or centimetres, punctuation, numbering of the impression.
/// Patients have one to three reports; a later one refers to the same lesions.
///
/// Texts of a report, all rendered from one sampled state (see simulate_case.h), so that side,
/// size, number and negation agree:
///
///   findings     what is seen, with the normal and the negated
///   impression   the diagnoses and what is advised
///   brief        key phrases of the findings, joined by full-width commas: input of expansion
///
/// Labels, as in the data:
///
///   abnormal   yes: something needs treatment or follow-up; no: normal, or only old or benign
///              changes. Not implied by `disease`: a calcified nodule, an old infarct or a thyroid
///              cyst is "no", a pleural effusion without main disease is "yes".
///   disease    the main diagnosis, one of
///                pneumonia  lung_nodule  lung_mass                        (CT)
///                cerebral_infarction  cerebral_hemorrhage  brain_tumour   (MR)
///                benign_thyroid_nodule  suspicious_thyroid_nodule         (US)
///                none   no main disease: normal, or incidental changes only (all)
///
/// Report `number` of a seed is a function of both alone: a longer data set begins with a shorter.
Report simulate_report(uint64_t seed, uint64_t number);

/// Writes reports 0 … count-1 to `folder`/reports.jsonl, one JSON object a line with id, patient,
/// centre, modality, findings, impression, brief, labels. The folder is made if it is missing; the
/// file appears wholly or not at all. Throws Error(kEnvironment) if it cannot be written.
void write_simulated_reports(const std::string& folder, uint64_t count, uint64_t seed);

}  // namespace radgpt
