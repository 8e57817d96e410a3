// SPDX-License-Identifier: Apache-2.0
// append_tempo_proto (wire/tempo/proto.h) by protobuf itself.
#pragma once

#include <optional>
#include <string>

#include "otlp_twin.pb.h"

namespace tailgate::test {

// Nothing where protobuf does not take the bytes.
inline std::optional<twin::TracesData> tempo_twin(const std::string& otlp) {
  twin::TracesData data;
  if (!data.ParseFromString(otlp)) return std::nullopt;
  for (auto& resource_spans : *data.mutable_resource_spans()) {
    resource_spans.mutable_resource();
    for (auto& scope_spans : *resource_spans.mutable_scope_spans()) {
      scope_spans.mutable_scope();
      for (auto& span : *scope_spans.mutable_spans()) span.mutable_status();
    }
  }
  return data;
}

// Equal but for the order in which fields stood.
inline bool same_message(const twin::TracesData& a, const twin::TracesData& b) {
  return a.SerializeAsString() == b.SerializeAsString();
}

}  // namespace tailgate::test
