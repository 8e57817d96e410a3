// SPDX-License-Identifier: Apache-2.0
// Files of the store's index that nobody has written, and those that RecentPostings makes of the input. Nothing may
// crash, hang or grow; what was put in is found.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "store/postings.h"
#include "support/demand.h"
#include "support/memory_file.h"

using namespace tailgate;
using test::demand;

namespace {

// `in_memory`: what the postings of a whole file said before it was made; nothing when the file may be anything.
void read(std::string_view file, TermHash term, std::optional<std::vector<TraceNumber>> in_memory = {}) {
  static test::MemoryFile memory;
  memory.put(file);
  const auto postings = PostingFile::open(memory.path());
  demand(!in_memory || postings.has_value(), "a file that was made here is not taken");
  if (!postings) return;
  std::vector<TraceNumber> found;
  const bool good = (*postings)->find(term, found).has_value();
  const bool checked = (*postings)->check().has_value();
  if (!in_memory) return;
  demand(good && checked, "a file that was made here is damaged");
  std::sort(in_memory->begin(), in_memory->end());
  std::sort(found.begin(), found.end());
  in_memory->erase(std::unique(in_memory->begin(), in_memory->end()), in_memory->end());
  demand(std::includes(found.begin(), found.end(), in_memory->begin(), in_memory->end()),
         "the file has less than the memory it was made of");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read(input, 1);
  if (size < 16) return 0;
  RecentPostings made;
  TermHash last = 0;
  TraceNumber trace = 0;
  for (std::size_t at = 0; at + 9 <= size && at < 9'000; at += 9) {
    last = named_term(load_le<std::uint64_t>(input.data() + at) >> (input[at] & 63));
    made.add({last}, trace = static_cast<std::uint8_t>(input[at + 8]));
  }
  std::vector<TraceNumber> found;
  made.find(last, found);
  demand(std::find(found.begin(), found.end(), trace) != found.end(), "a posting is not found");
  std::string file = made.file();
  read(file, last, std::move(found));
  for (std::size_t i = 0; i < 4; ++i) {  // damage at places that the input names
    const std::size_t at = load_le<std::uint32_t>(input.data() + 4 * i) % file.size();
    file[at] = static_cast<char>(file[at] ^ (1 << (input[i] & 7)));
    read(file, last);
  }
  return 0;
}
