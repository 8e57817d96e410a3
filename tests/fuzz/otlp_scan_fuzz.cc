// SPDX-License-Identifier: Apache-2.0
// The scanner against libprotobuf over the same bytes: ids, times, status, attribute matches and the framed output
// agree (tests/support/scan_twin.h says where they may not).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "support/scan_twin.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string difference =
      tailgate::test::compare_with_twin(std::string(reinterpret_cast<const char*>(data), size));
  if (difference.empty()) return 0;
  std::fprintf(stderr, "%s\n", difference.c_str());
  std::abort();
}
