// KafkaLookup: getaddrinfo for librdkafka's threads, which wait for its answer as they wait for the system's, but not
// past end(). rd_kafka_destroy() joins them, and where no name server answers getaddrinfo takes half a minute. Why the
// thread that asks is detached: net/client/host_lookup.h.
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

  // As getaddrinfo; EAI_AGAIN once it has ended. `found` is for freeaddrinfo().
  int look_up(const char* node, const char* service, const addrinfo* hints, addrinfo** found);
  // For good: whoever waits stops waiting.
  void end();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace tailgate
