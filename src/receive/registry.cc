#include "receive/registry.h"

#include <array>

namespace tailgate {

std::unique_ptr<Receiver> make_otlp_receiver(const ConfigNode& node, std::string name);  // otlp_config.cc

namespace {

constexpr std::array kReceiverTypes = {
    ReceiverType{"otlp", make_otlp_receiver},
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
