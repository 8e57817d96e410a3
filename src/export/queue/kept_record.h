// SPDX-License-Identifier: Apache-2.0
// A kept trace on disk: protobuf fields of our own with the OTLP bytes last, so that a restart reads what it needs
// without touching them. Readers skip fields that they do not know, because a newer daemon may add some.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "model/kept_trace.h"

namespace tailgate {

struct KeptRecord {
  std::uint64_t pushed_unix_ns = 0;
  std::vector<std::string> exporters;  // names of those that wanted it
  std::shared_ptr<KeptTrace> trace;    // charged to nothing
};

std::string write_kept_record(const KeptTrace& trace, std::uint64_t pushed_unix_ns,
                              const std::vector<std::string_view>& exporters);
// Nothing when the bytes are damaged. Without `whole` the OTLP bytes are left out. The policy is known by its name; its
// number in the verdict is 0, because numbers differ between processes.
std::optional<KeptRecord> read_kept_record(ByteView bytes, bool whole);

}  // namespace tailgate
