// SPDX-License-Identifier: Apache-2.0
#include "export/kafka/library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

namespace tailgate {
namespace {

constexpr const char* kName = "librdkafka.so.1";

template <class F>
void find(void* library, const char* name, F& out, std::string& missing) {
  out = reinterpret_cast<F>(dlsym(library, name));
  if (out == nullptr && missing.empty()) missing = name;
}

}  // namespace

Result<KafkaLibrary> load_kafka_library() {
  void* const library = dlopen(kName, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* const why = dlerror();
    return fail(ErrorKind::kIo, fmt::format("the kafka exporter wants {} (Debian: librdkafka1): {}", kName, why));
  }
  KafkaLibrary k;
  std::string missing;
  find(library, "rd_kafka_conf_new", k.conf_new, missing);
  find(library, "rd_kafka_conf_destroy", k.conf_destroy, missing);
  find(library, "rd_kafka_conf_set", k.conf_set, missing);
  find(library, "rd_kafka_conf_set_opaque", k.conf_set_opaque, missing);
  find(library, "rd_kafka_conf_set_dr_msg_cb", k.conf_set_dr_msg_cb, missing);
  find(library, "rd_kafka_conf_set_error_cb", k.conf_set_error_cb, missing);
  find(library, "rd_kafka_conf_set_log_cb", k.conf_set_log_cb, missing);
  find(library, "rd_kafka_new", k.create, missing);
  find(library, "rd_kafka_destroy", k.destroy, missing);
  find(library, "rd_kafka_topic_new", k.topic_new, missing);
  find(library, "rd_kafka_topic_destroy", k.topic_destroy, missing);
  find(library, "rd_kafka_queue_get_main", k.queue_get_main, missing);
  find(library, "rd_kafka_queue_destroy", k.queue_destroy, missing);
  find(library, "rd_kafka_queue_io_event_enable", k.queue_io_event_enable, missing);
  find(library, "rd_kafka_produce", k.produce, missing);
  find(library, "rd_kafka_last_error", k.last_error, missing);
  find(library, "rd_kafka_err2str", k.err2str, missing);
  find(library, "rd_kafka_poll", k.poll, missing);
  find(library, "rd_kafka_purge", k.purge, missing);
  std::string old;
  find(library, "rd_kafka_conf_set_resolve_cb", k.conf_set_resolve_cb, old);
  if (!missing.empty()) return fail(ErrorKind::kIo, fmt::format("{} has no {}: expected 1.0 or later", kName, missing));
  return k;
}

}  // namespace tailgate
