#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace radgpt {

/// A TensorBoard event file with scalars.
///
/// Records are TFRecords (length, masked CRC-32C of the length, bytes, masked CRC-32C of the bytes)
/// holding tensorflow.Event messages. Each record is flushed, so that a viewer can follow a run.
/// Errors are of kind kEnvironment.
class EventFile {
 public:
  /// Makes `FOLDER/events.out.tfevents.SECONDS.radgpt`; `seconds` is the wall time of the
  /// start.
  EventFile(const std::string& folder, double seconds);

  /// `tag` names the curve, `seconds` is the wall time of the point.
  void add_scalar(const std::string& tag, int64_t step, double value, double seconds);

 private:
  void write_record(const std::string& event);

  std::string path_;
  std::ofstream file_;
};

}  // namespace radgpt
