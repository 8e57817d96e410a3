// SPDX-License-Identifier: Apache-2.0
#include "receive/kafka/poison_letters.h"

#include <fmt/format.h>

#include <iterator>

#include "base/kept_memory.h"
#include "codec/json_text.h"

namespace tailgate {

void append_poison_line(std::string& out, const PoisonRecord& record, std::uint64_t now_unix_ns) {
  out += R"({"topic":)";
  append_json_string(out, record.topic);
  fmt::format_to(std::back_inserter(out), R"(,"partition":{},"offset":"{}","reason":)", record.partition,
                 record.offset);
  append_json_string(out, record.reason);
  out += R"(,"detail":)";
  append_json_string(out, record.detail);
  out += R"(,"key":)";
  append_quoted_base64(out, record.key);
  out += R"(,"value":)";
  append_quoted_base64(out, record.value);
  fmt::format_to(std::back_inserter(out), R"(,"time_unix_nano":"{}"}})", now_unix_ns);
  out += '\n';
}

Result<void> PoisonLetters::write(const PoisonRecord& record, std::uint64_t now_unix_ns) {
  constexpr std::size_t kKept = 1 << 20;
  line_.clear();
  append_poison_line(line_, record, now_unix_ns);
  Result<void> written = file_.append(line_);
  limit_memory(line_, kKept);
  return written;
}

}  // namespace tailgate
