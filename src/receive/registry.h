// SPDX-License-Identifier: Apache-2.0
// Every receiver type this build knows. This list is the only list.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "receive/receiver.h"

namespace tailgate {

class ConfigNode;

struct ReceiverType {
  std::string_view name;
  // `name` is the whole key of the entry ("otlp/2"). Never null; problems are recorded with the node.
  std::unique_ptr<Receiver> (*make)(const ConfigNode& node, std::string name);
};

std::span<const ReceiverType> receiver_types();
// By the part of a key before '/'; null when there is none.
const ReceiverType* find_receiver_type(std::string_view key);

}  // namespace tailgate
