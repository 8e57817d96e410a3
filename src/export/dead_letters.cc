// SPDX-License-Identifier: Apache-2.0
#include "export/dead_letters.h"

#include <fmt/format.h>

#include <iterator>

#include "base/kept_memory.h"
#include "codec/json_text.h"
#include "wire/otlp/json_write.h"

namespace tailgate {

Result<void> DeadLetters::write(std::span<const KeptTracePtr> traces, std::string_view exporter,
                                std::string_view reason, std::string_view detail, std::uint64_t now_unix_ns,
                                CutItems& cut) {
  lines_.clear();
  for (const KeptTracePtr& trace : traces) {
    append_otlp_json(lines_, trace->otlp, &cut);
    lines_.pop_back();  // the closing brace
    lines_ += R"(,"tailgate":{"exporter":)";
    append_json_string(lines_, exporter);
    lines_ += R"(,"reason":)";
    append_json_string(lines_, reason);
    lines_ += R"(,"detail":)";
    append_json_string(lines_, detail);
    lines_ += R"(,"policy":)";
    append_json_string(lines_, trace->policy);
    fmt::format_to(std::back_inserter(lines_), R"(,"time_unix_nano":"{}"}}}})", now_unix_ns);
    lines_ += '\n';
  }
  Result<void> written = file_.append(lines_);
  limit_memory(lines_, 8 << 20);
  return written;
}

}  // namespace tailgate
