// SPDX-License-Identifier: Apache-2.0
// OTLP as the OpenTelemetry Collector writes it since 2025: its buffer is filled from the end, so the fields of each
// message stand in the reverse of the order in which the .proto file declares them. What repeats keeps its order.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "codec/protobuf.h"
#include "support/random_otlp.h"

namespace tailgate::test {

// With `mixed` each message has its fields in one order or the other.
inline std::string backward_otlp(const google::protobuf::Message& message, Random* mixed = nullptr) {
  namespace gp = google::protobuf;
  const gp::Reflection& reflection = *message.GetReflection();
  std::vector<const gp::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);  // by number
  if (mixed == nullptr || mixed->one_in(2)) {
    std::sort(fields.begin(), fields.end(), [](auto* a, auto* b) { return a->index() > b->index(); });
  }
  std::string out;
  for (const gp::FieldDescriptor* field : fields) {
    const auto number = static_cast<std::uint32_t>(field->number());
    if (field->cpp_type() == gp::FieldDescriptor::CPPTYPE_MESSAGE && field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        pb::append_len(out, number, backward_otlp(reflection.GetRepeatedMessage(message, field, i), mixed));
      }
    } else if (field->cpp_type() == gp::FieldDescriptor::CPPTYPE_MESSAGE) {
      pb::append_len(out, number, backward_otlp(reflection.GetMessage(message, field), mixed));
    } else {
      const std::size_t size = gp::internal::WireFormat::FieldByteSize(field, message);
      std::string bytes(size, '\0');
      auto* const to = reinterpret_cast<gp::uint8*>(bytes.data());
      gp::io::EpsCopyOutputStream stream(to, static_cast<int>(size), false);
      gp::internal::WireFormat::InternalSerializeField(field, message, to, &stream);
      out += bytes;
    }
  }
  std::string unknown;
  reflection.GetUnknownFields(message).SerializeToString(&unknown);
  return out + unknown;
}

}  // namespace tailgate::test
