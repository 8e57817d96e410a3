// SPDX-License-Identifier: Apache-2.0
// The Zipkin receiver: v2 spans over HTTP, JSON and protobuf. wire/zipkin/model.h maps them to OTLP; docs/receivers.md
// has the table.
#pragma once

#include <memory>
#include <string>

#include "receive/endpoint_config.h"
#include "receive/receiver.h"
#include "wire/zipkin/model.h"

namespace tailgate {

struct ZipkinConfig {
  EndpointConfig http;
  ZipkinOptions options;
};

// The Collector's keys and our `limits:`. Reports problems to the node; calls finish().
ZipkinConfig read_zipkin_receiver(const ConfigNode& node);

std::unique_ptr<Receiver> make_zipkin_receiver(ZipkinConfig config, std::string name);

}  // namespace tailgate
