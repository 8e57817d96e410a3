// SPDX-License-Identifier: Apache-2.0
// What members of a cluster ask and answer about their stores, as anybody may send it: what is read is read again as it
// is written, and what is refused says why.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "support/demand.h"
#include "web/fleet/store_question.h"

using namespace tailgate;
using test::demand;

namespace {

template <class Value, class Read, class Write>
void round_trip(const Result<Value>& value, Read read, Write write) {
  if (!value) return demand(!value.error().text.empty(), "refused without a reason");
  const std::string once = write(*value);
  const Result<Value> again = read(once);
  demand(again.has_value(), "not read as it was written");
  demand(write(*again) == once, "another value is read");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  round_trip(read_store_question(input), read_store_question, write_store_question);
  round_trip(read_store_answer(input), read_store_answer, write_store_answer);
  return 0;
}
