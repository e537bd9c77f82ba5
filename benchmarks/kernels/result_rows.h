#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include "benchmarks/kernels/interleaved.h"
#include "libradgpt/base/error.h"

namespace radgpt {

/// One line of benchmarks/results/DEVICE.csv. Zero where a figure does not apply.
struct ResultRow {
  std::string kernel, dtype = "bf16", variant;
  int64_t rows = 0, in = 0, out = 0, rank = 0;
  double dropout = 0;
  int runs = 0;
  Spread milliseconds{};
  double gb_per_s = 0;
  double share_of_peak = 0;
};

/// Lines of one device at one commit, appended to FOLDER/DEVICE.csv.
class ResultFile {
 public:
  /// The commit is RADGPT_COMMIT of the environment.
  ResultFile(const std::string& folder, const std::string& device) : device_(plain(device)) {
    const char* commit = std::getenv("RADGPT_COMMIT");
    if (commit != nullptr) commit_ = commit;
    std::filesystem::create_directories(folder);
    const std::string path = folder + "/" + device_ + ".csv";
    const bool fresh = !std::filesystem::exists(path);
    file_.open(path, std::ios::app);
    if (!file_) fail(ErrorKind::kEnvironment, path, ": cannot be written");
    if (fresh) {
      file_ << "commit,date,device,kernel,dtype,rows,in,out,rank,dropout,variant,n,median_ms,"
               "p20_ms,p80_ms,gb_per_s,share_of_peak\n";
    }
  }

  const std::string& commit() const { return commit_; }
  const std::string& date() const { return date_; }

  void append(const ResultRow& row) {
    file_ << commit_ << ',' << date_ << ',' << device_ << ',' << row.kernel << ',' << row.dtype
          << ',' << row.rows << ',' << row.in << ',' << row.out << ',' << row.rank << ','
          << row.dropout << ',' << row.variant << ',' << row.runs << ',' << row.milliseconds.median
          << ',' << row.milliseconds.p20 << ',' << row.milliseconds.p80 << ',' << row.gb_per_s
          << ',' << row.share_of_peak << std::endl;
  }

 private:
  /// As a file's name and a field of the table.
  static std::string plain(std::string name) {
    std::replace_if(
        name.begin(), name.end(),
        [](unsigned char c) { return std::isalnum(c) == 0 && c != '.' && c != '-'; }, '_');
    return name;
  }
  static std::string today() {
    const std::time_t now = std::time(nullptr);
    char text[16];
    std::strftime(text, sizeof(text), "%Y-%m-%d", std::gmtime(&now));
    return text;
  }

  std::string device_, commit_ = "unknown", date_ = today();
  std::ofstream file_;
};

}  // namespace radgpt
