// SPDX-License-Identifier: Apache-2.0
// OTLP as a strict backend parses it. The twin's messages (proto/otlp_twin.proto) have every text as bytes, so that
// they take what the wire allows; here the texts are strings again, which libprotobuf takes as UTF-8 only.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/stubs/logging.h>

#include <memory>
#include <set>
#include <string>

#include "otlp_twin.pb.h"

namespace tailgate::test {

// Is this bytes field of the twin a text in OTLP?
inline bool is_text_field(const google::protobuf::FieldDescriptor& field) {
  static const std::set<std::string> bytes = {"trace_id", "span_id", "parent_span_id", "bytes_value"};
  return field.type() == google::protobuf::FieldDescriptor::TYPE_BYTES && bytes.count(field.name()) == 0;
}

inline bool strictly_parses(const std::string& bytes) {
  namespace gp = google::protobuf;
  struct Strict {
    gp::DescriptorPool pool;
    gp::DynamicMessageFactory factory{&pool};
    const gp::Message* request = nullptr;

    Strict() {
      gp::SetLogHandler(nullptr);  // it writes a line for each text that it refuses
      const gp::Descriptor& twin = *twin::TracesData::descriptor();
      gp::FileDescriptorProto file;
      twin.file()->CopyTo(&file);
      for (int i = 0; i < file.message_type_size(); ++i) {
        set_texts(*twin.file()->message_type(i), *file.mutable_message_type(i));
      }
      request = factory.GetPrototype(pool.BuildFile(file)->FindMessageTypeByName(twin.name()));
    }

    static void set_texts(const gp::Descriptor& from, gp::DescriptorProto& to) {
      for (int i = 0; i < from.field_count(); ++i) {
        if (is_text_field(*from.field(i))) to.mutable_field(i)->set_type(gp::FieldDescriptorProto::TYPE_STRING);
      }
      for (int i = 0; i < from.nested_type_count(); ++i) set_texts(*from.nested_type(i), *to.mutable_nested_type(i));
    }
  };
  static const Strict strict;
  const std::unique_ptr<gp::Message> parsed(strict.request->New());
  return parsed->ParseFromString(bytes);
}

}  // namespace tailgate::test
