// SPDX-License-Identifier: Apache-2.0
// Files of the store's index that nobody has written, and those that RecentPostings makes of the input. Nothing may
// crash, hang or grow; what was put in is found.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "store/postings.h"
#include "support/demand.h"
#include "support/memory_file.h"

using namespace tailgate;
using test::demand;

namespace {

void read(std::string_view file, TermHash term, bool whole) {
  static test::MemoryFile memory;
  memory.put(file);
  const auto postings = PostingFile::open(memory.path());
  demand(!whole || postings.has_value(), "a file that was made here is not taken");
  if (!postings) return;
  std::vector<TraceNumber> found;
  const bool good = (*postings)->find(term, found).has_value();
  demand(!whole || (good && !found.empty()), "a posting is not found");
  demand((*postings)->check().has_value() || !whole, "a file that was made here is damaged");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read(input, 1, false);
  if (size < 16) return 0;
  RecentPostings made;
  TermHash last = 0;
  for (std::size_t at = 0; at + 9 <= size && at < 9'000; at += 9) {
    last = named_term(load_le<std::uint64_t>(input.data() + at) >> (input[at] & 63));
    made.add({last}, static_cast<std::uint8_t>(input[at + 8]));
  }
  std::string file = made.file();
  read(file, last, true);
  for (std::size_t i = 0; i < 4; ++i) {  // damage at places that the input names
    const std::size_t at = load_le<std::uint32_t>(input.data() + 4 * i) % file.size();
    file[at] = static_cast<char>(file[at] ^ (1 << (input[i] & 7)));
    read(file, last, false);
  }
  return 0;
}
