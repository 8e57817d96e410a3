// SPDX-License-Identifier: Apache-2.0
// Query strings and attributes as people type them. Nothing may crash, hang or grow; values are within their bounds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "web/params.h"
#include "web/trace_search.h"

using namespace tailgate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Params params(input);
  const std::uint64_t limit = params.number("limit", 20, 1, 1'000);
  if (limit < 1 || limit > 1'000) std::abort();
  if (params.text("service").size() > Params::kValueMax) std::abort();
  const std::string status = params.choice("status", "", {"unset", "ok", "error"});
  if (!status.empty() && status != "unset" && status != "ok" && status != "error") std::abort();
  (void)params.duration_ns("min");
  (void)params.flag("pretty");
  if (params.all("tag").size() > Params::kParamsMax) std::abort();
  if (const Result<void> good = params.finish(); !good && good.error().text.empty()) std::abort();
  if (const auto words = read_attribute_words(input)) {
    for (const auto& [key, value] : *words) {
      if (key.empty() || key.size() + value.size() > size) std::abort();
    }
  }
  return 0;
}
