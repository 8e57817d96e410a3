// SPDX-License-Identifier: Apache-2.0
// ReceiverServers: the TCP endpoints of one receiver, each with its handler. Owned by the receiver; threads as there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "receive/handler.h"

namespace tailgate {

class ReceiverServers {
 public:
  // Errors: kConfig, kIo. What was opened before stays open until stop().
  Result<void> open(const std::string& name, const EndpointConfig& config, const ReceiverContext& context,
                    ReceiveProtocol protocol);
  std::vector<std::string> endpoints() const;
  void drain();
  void stop(Duration grace);  // of all of them together
  ReceiverStats stats() const;

 private:
  std::vector<std::unique_ptr<ReceiveHandler>> handlers_;  // outlive the servers
  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace tailgate
