// SPDX-License-Identifier: Apache-2.0
// What members of a cluster tell each other, as anybody may send it: what is read is what the protobuf library reads,
// and is read again as it is written.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cluster/message.h"
#include "cluster_twin.pb.h"
#include "support/demand.h"

using namespace tailgate;
using test::demand;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const Result<ClusterMessage> message = read_message(input);
  if (!message) return 0;
  cluster_twin::Message slow;
  demand(slow.ParseFromArray(data, static_cast<int>(size)), "taken, and the library does not take it");
  demand(message->from == slow.from(), "another name");
  demand(message->names.size() == static_cast<std::size_t>(slow.names_size()), "other names");
  demand(message->verdicts.size() == static_cast<std::size_t>(slow.verdicts_size()), "other verdicts");
  demand(message->page.has_value() == slow.has_page(), "another question");
  demand(message->page_answer.has_value() == slow.has_page_answer(), "another answer");
  demand(message->needs.size() == static_cast<std::size_t>(slow.needs_size()), "other needs");
  demand(message->fresh.size() == static_cast<std::size_t>(slow.fresh_size()), "others are new");
  const Result<ClusterMessage> again = read_message(write_message(*message));
  demand(again && *again == *message, "not read as it was written");
  return 0;
}
