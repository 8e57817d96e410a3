// SPDX-License-Identifier: Apache-2.0
// Records and indexes of ids of a journal that nobody has written: a kind, an id and the bytes of a record; and the
// same as the pages of an index, with checksums that are right. Nothing may crash, hang or grow, and what is read is
// written as the same bytes again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "journal/id_index.h"
#include "journal/record.h"
#include "support/demand.h"
#include "support/memory_file.h"

using namespace tailgate;
using test::demand;

namespace {

// The bytes of the one record of a block.
std::string_view content(const std::string& raw) { return std::string_view(raw).substr(kRecordHeaderBytes); }

void read(const Record& record) {
  std::string raw;
  if (const auto request = read_request(record)) {
    demand(append_request(raw, *request) && content(raw) == record.bytes, "a request is another when it is written");
  }
  if (const auto deliveries = read_deliveries(record)) {
    raw.clear();
    demand(append_deliveries(raw, *deliveries) && content(raw) == record.bytes, "deliveries are others when written");
  }
  if (const auto verdicts = read_verdicts(record)) {
    raw.clear();
    demand(append_verdicts(raw, *verdicts), "verdicts cannot be written");
    const auto again = read_verdicts({record.kind, record.id, content(raw)});
    demand(again && again->size() == verdicts->size(), "verdicts are others when they are written");
    for (std::size_t i = 0; i != verdicts->size(); ++i) {
      demand((*again)[i].id == (*verdicts)[i].id && (*again)[i].words == (*verdicts)[i].words, "a verdict is another");
    }
  }
  (void)read_settled(record);
}

void look_up(std::string_view input) {
  constexpr std::size_t kPage = 4096;
  static test::MemoryFile memory;
  std::string file("tgjrids\x01");
  append_le(file, std::uint64_t{input.empty() ? 0 : 1 + static_cast<unsigned char>(input[0]) % 3U * 254U});
  append_le(file, crc32c(file));
  file.resize(kPage);
  for (std::size_t at = 0; at < input.size() && at < 4 * kPage; at += kPage - 4) {
    std::string page(input.substr(at, kPage - 4));
    page.resize(kPage - 4);
    append_le(page, crc32c(page));
    file += page;
  }
  memory.put(file);
  for (const std::uint64_t hash : {std::uint64_t{0}, UINT64_MAX, UINT64_MAX / 3}) {
    const auto found = find_ids(memory.path(), hash);
    if (found) demand(found->size() <= input.size() / 16 + 1, "more was found than there is");
  }
  memory.put(input);
  (void)find_ids(memory.path(), 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  look_up(input);
  if (input.size() < 17) return 0;
  read({static_cast<std::uint8_t>(input[0]), input.substr(1, 16), input.substr(17)});
  return 0;
}
