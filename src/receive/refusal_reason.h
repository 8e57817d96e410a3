// SPDX-License-Identifier: Apache-2.0
// Why receivers refuse spans, requests and datagrams, beside the server's own reasons (RefuseWhy): label values of
// metrics, and what the log says.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/enum_names.h"
#include "net/refusal.h"

namespace tailgate {

enum class SpanRefusal : std::uint8_t { kBadId, kNoMemory, kClientSpans };
inline constexpr std::array<std::string_view, 3> kSpanRefusalNames = {"bad_id", "no_memory", "client_spans"};
static_assert(names_end_with(kSpanRefusalNames, SpanRefusal::kClientSpans, "client_spans"));

enum class RequestRefusal : std::uint8_t { kMalformed, kUnsupported, kShutdown, kJournal };
inline constexpr std::array<std::string_view, 4> kRequestRefusalNames = {"malformed", "unsupported", "shutdown",
                                                                         "journal"};
static_assert(names_end_with(kRequestRefusalNames, RequestRefusal::kJournal, "journal"));

enum class UdpDrop : std::uint8_t { kKernel, kMalformed, kNoMemory, kTooLarge, kShutdown, kJournal };
inline constexpr std::array<std::string_view, 6> kUdpDropNames = {"kernel",    "malformed", "no_memory",
                                                                  "too_large", "shutdown",  "journal"};
static_assert(names_end_with(kUdpDropNames, UdpDrop::kJournal, "journal"));

// Why clients lost spans before they could send them, as they report it.
enum class ClientLoss : std::uint8_t { kFullQueue, kTooLarge, kFailedToEmit };
inline constexpr std::array<std::string_view, 3> kClientLossNames = {"full_queue", "too_large", "failed_to_emit"};
static_assert(names_end_with(kClientLossNames, ClientLoss::kFailedToEmit, "failed_to_emit"));

// One reason to refuse, by its name: made from an enumerator, so a name that no table has cannot be counted.
class RefusalReason {
 public:
  constexpr RefusalReason(SpanRefusal why) : name(kSpanRefusalNames[static_cast<std::size_t>(why)]) {}        // NOLINT
  constexpr RefusalReason(RequestRefusal why) : name(kRequestRefusalNames[static_cast<std::size_t>(why)]) {}  // NOLINT
  constexpr RefusalReason(UdpDrop why) : name(kUdpDropNames[static_cast<std::size_t>(why)]) {}                // NOLINT
  constexpr RefusalReason(RefuseWhy why) : name(kRefuseWhyNames[static_cast<std::size_t>(why)]) {}            // NOLINT

  std::string_view name;
};

}  // namespace tailgate
