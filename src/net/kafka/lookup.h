// SPDX-License-Identifier: Apache-2.0
// KafkaLookup: getaddrinfo for librdkafka's threads. They wait for the answer as they would for the system's, but not
// past end(): rd_kafka_destroy() joins these threads, and getaddrinfo takes half a minute when no name server answers.
// net/client/host_lookup.h says why the thread that asks is detached.
//
// Threads: any.
#pragma once

#include <netdb.h>

#include <memory>

namespace tailgate {

class KafkaLookup {
 public:
  using Ask = decltype(&::getaddrinfo);

  explicit KafkaLookup(Ask ask = ::getaddrinfo);
  ~KafkaLookup() { end(); }
  KafkaLookup(const KafkaLookup&) = delete;
  KafkaLookup& operator=(const KafkaLookup&) = delete;

  // As getaddrinfo; EAI_AGAIN after end(). The caller frees `found` with freeaddrinfo().
  int look_up(const char* node, const char* service, const addrinfo* hints, addrinfo** found);
  // Ends every wait, and every later call at once.
  void end();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace tailgate
