// SPDX-License-Identifier: Apache-2.0
// PoisonLetters: records that can never be taken, kept in a file for a person to look at. One JSON line for each:
//
//   {"topic":"otlp_spans","partition":3,"offset":"1234","reason":"malformed","detail":"...","key":"<base64>",
//    "value":"<base64>","time_unix_nano":"1790000000000000000"}
//
// Threads: the consumer's.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "telemetry/rotating_file.h"

namespace tailgate {

struct PoisonRecord {
  std::string_view topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::string_view reason, detail;
  ByteView key, value;
};

void append_poison_line(std::string& out, const PoisonRecord& record, std::uint64_t now_unix_ns);

class PoisonLetters {
 public:
  PoisonLetters(std::string path, const RotationOptions& options) : file_(std::move(path), options, true) {}

  Result<void> start() { return file_.open(); }
  Result<void> write(const PoisonRecord& record, std::uint64_t now_unix_ns);

 private:
  RotatingFile file_;
  std::string line_;
};

}  // namespace tailgate
