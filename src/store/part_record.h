// SPDX-License-Identifier: Apache-2.0
// PartRecord: one part of a kept trace as the bytes of a record in a block file. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/kept_trace.h"

namespace tailgate {

inline constexpr std::uint8_t kPartRecord = 1;  // Record::kind

struct PartRecord {
  std::uint64_t start_ns = 0, end_ns = 0;
  std::uint32_t spans = 0, errors = 0;
  bool has_root = false, late = false;
  CloseReason close_reason = CloseReason::kTimeout;
  std::string_view policy, root_service, root_name;
  std::string_view otlp;
};

// All but the OTLP, which follows.
void append_part_front(std::string& out, const KeptTrace& trace);
// Views into `bytes`; nothing when they are not a part.
std::optional<PartRecord> read_part(std::string_view bytes);

}  // namespace tailgate
