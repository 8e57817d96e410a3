// SPDX-License-Identifier: Apache-2.0
#include "receive/registry.h"

#include <array>

namespace tailgate {

std::unique_ptr<Receiver> make_jaeger_receiver(const ConfigNode& node, std::string name);  // jaeger_config.cc
std::unique_ptr<Receiver> make_kafka_receiver(const ConfigNode& node, std::string name);   // kafka/config.cc
std::unique_ptr<Receiver> make_otlp_receiver(const ConfigNode& node, std::string name);    // otlp_config.cc
std::unique_ptr<Receiver> make_zipkin_receiver(const ConfigNode& node, std::string name);  // zipkin.cc

namespace {

constexpr std::array kReceiverTypes = {
    ReceiverType{"jaeger", make_jaeger_receiver},
    ReceiverType{"kafka", make_kafka_receiver},
    ReceiverType{"otlp", make_otlp_receiver},
    ReceiverType{"zipkin", make_zipkin_receiver},
};

}  // namespace

std::span<const ReceiverType> receiver_types() { return kReceiverTypes; }

const ReceiverType* find_receiver_type(std::string_view key) {
  const std::string_view type = key.substr(0, key.find('/'));
  for (const ReceiverType& t : kReceiverTypes) {
    if (t.name == type) return &t;
  }
  return nullptr;
}

}  // namespace tailgate
