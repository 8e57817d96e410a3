// A kept trace as it stands on disk: protobuf fields of our own, the OTLP bytes last, so that what is needed at a
// restart is read without touching them. Readers pass over fields they do not know: a newer daemon may add some.
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
// Nothing when the bytes are damaged. Without `whole` the OTLP bytes are left out. The verdict's numbers are those of
// this process only where they mean the same in every one: its policy number is 0, the policy is known by name.
std::optional<KeptRecord> read_kept_record(ByteView bytes, bool whole);

}  // namespace tailgate
