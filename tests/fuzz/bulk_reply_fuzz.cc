// SPDX-License-Identifier: Apache-2.0
// What a server answers to _bulk: any bytes give items within the limits or an error, and the same with a second look
// at it through simdjson.
#include <fmt/format.h>
#include <simdjson.h>

#include <cstdint>
#include <cstdlib>

#include "export/elasticsearch/bulk_reply.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const tailgate::ByteView text(reinterpret_cast<const char*>(data), size);
  constexpr std::size_t kItemsMax = 100;
  const auto items = tailgate::read_bulk_reply(text, kItemsMax);
  if (!items) return 0;
  if (items->size() > kItemsMax) std::abort();
  for (const tailgate::BulkItem& item : *items) {
    if (item.why.size() > 300 || item.status < 0 || item.status > 999) std::abort();
  }
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  // Boost.JSON takes some numbers that simdjson finds too large.
  if (parser.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS) return 0;
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) std::abort();
  std::size_t lists = 0, count = 0;
  for (const auto& [key, value] : object) {
    simdjson::dom::array list;
    if (key != "items" || value.get(list) != simdjson::SUCCESS) continue;
    ++lists;
    count = 0;
    for (const simdjson::dom::element item : list) count += item.is_object() ? 1u : 0u;
  }
  if (lists == 0 || count != items->size()) {
    fmt::print(stderr, "{} items, simdjson has {}\n", items->size(), count);
    std::abort();
  }
  return 0;
}
