// SPDX-License-Identifier: Apache-2.0
#include "net/kafka/library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <string>

#include "telemetry/log.h"

namespace tailgate {
namespace {

constexpr const char* kName = "librdkafka.so.1";

template <class F>
void find(void* library, const char* name, F& out, std::string& missing) {
  out = reinterpret_cast<F>(dlsym(library, name));
  if (out == nullptr && missing.empty()) missing = name;
}

// Called by librdkafka's threads. Whatever matters also comes as an error.
void on_log(const rd_kafka_t*, int, const char*, const char* text) { log_debug("librdkafka", {{"text", text}}); }

}  // namespace

Result<KafkaLibrary> load_kafka_library() {
  void* const library = dlopen(kName, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* const why = dlerror();
    return fail(ErrorKind::kIo, fmt::format("kafka needs {} (Debian: librdkafka1): {}", kName, why));
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
  find(library, "rd_kafka_conf_set_rebalance_cb", k.conf_set_rebalance_cb, missing);
  find(library, "rd_kafka_conf_set_offset_commit_cb", k.conf_set_offset_commit_cb, missing);
  find(library, "rd_kafka_version", k.version, missing);
  find(library, "rd_kafka_new", k.create, missing);
  find(library, "rd_kafka_destroy", k.destroy, missing);
  find(library, "rd_kafka_topic_new", k.topic_new, missing);
  find(library, "rd_kafka_topic_destroy", k.topic_destroy, missing);
  find(library, "rd_kafka_queue_get_main", k.queue_get_main, missing);
  find(library, "rd_kafka_queue_destroy", k.queue_destroy, missing);
  find(library, "rd_kafka_queue_io_event_enable", k.queue_io_event_enable, missing);
  find(library, "rd_kafka_produce", k.produce, missing);
  find(library, "rd_kafka_produce_batch", k.produce_batch, missing);
  find(library, "rd_kafka_last_error", k.last_error, missing);
  find(library, "rd_kafka_err2str", k.err2str, missing);
  find(library, "rd_kafka_poll", k.poll, missing);
  find(library, "rd_kafka_purge", k.purge, missing);
  find(library, "rd_kafka_consumer_poll", k.consumer_poll, missing);
  find(library, "rd_kafka_consumer_close_queue", k.consumer_close_queue, missing);
  find(library, "rd_kafka_consumer_closed", k.consumer_closed, missing);
  find(library, "rd_kafka_subscribe", k.subscribe, missing);
  find(library, "rd_kafka_poll_set_consumer", k.poll_set_consumer, missing);
  find(library, "rd_kafka_assign", k.assign, missing);
  find(library, "rd_kafka_incremental_assign", k.incremental_assign, missing);
  find(library, "rd_kafka_incremental_unassign", k.incremental_unassign, missing);
  find(library, "rd_kafka_assignment_lost", k.assignment_lost, missing);
  find(library, "rd_kafka_pause_partitions", k.pause_partitions, missing);
  find(library, "rd_kafka_resume_partitions", k.resume_partitions, missing);
  find(library, "rd_kafka_seek_partitions", k.seek_partitions, missing);
  find(library, "rd_kafka_offsets_store", k.offsets_store, missing);
  find(library, "rd_kafka_commit_queue", k.commit_queue, missing);
  find(library, "rd_kafka_queue_new", k.queue_new, missing);
  find(library, "rd_kafka_queue_poll_callback", k.queue_poll_callback, missing);
  find(library, "rd_kafka_topic_partition_list_new", k.list_new, missing);
  find(library, "rd_kafka_topic_partition_list_destroy", k.list_destroy, missing);
  find(library, "rd_kafka_topic_partition_list_add", k.list_add, missing);
  find(library, "rd_kafka_message_destroy", k.message_destroy, missing);
  find(library, "rd_kafka_get_watermark_offsets", k.get_watermark_offsets, missing);
  find(library, "rd_kafka_query_watermark_offsets", k.query_watermark_offsets, missing);
  find(library, "rd_kafka_offsets_for_times", k.offsets_for_times, missing);
  find(library, "rd_kafka_metadata", k.metadata, missing);
  find(library, "rd_kafka_metadata_destroy", k.metadata_destroy, missing);
  find(library, "rd_kafka_error_string", k.error_string, missing);
  find(library, "rd_kafka_error_destroy", k.error_destroy, missing);
  find(library, "rd_kafka_fatal_error", k.fatal_error, missing);
  std::string old;
  find(library, "rd_kafka_conf_set_resolve_cb", k.conf_set_resolve_cb, old);
  if (!missing.empty()) return fail(ErrorKind::kIo, fmt::format("{} has no {}: expected 1.9 or later", kName, missing));
  return k;
}

Result<void> KafkaConf::set(const std::string& name, const std::string& value) {
  std::array<char, 512> why{};
  if (library_.conf_set(conf_, name.c_str(), value.c_str(), why.data(), why.size()) == RD_KAFKA_CONF_OK) return {};
  return fail(ErrorKind::kConfig, fmt::format("kafka: {}: librdkafka does not take it", name));
}

Result<void> KafkaConf::set(const KafkaProperties& properties) {
  for (const auto& [name, value] : properties) {
    if (Result<void> taken = set(name, value); !taken) return taken;
  }
  return {};
}

Result<rd_kafka_t*> KafkaConf::make(rd_kafka_type_t type) {
  library_.conf_set_log_cb(conf_, on_log);
  std::array<char, 512> why{};
  rd_kafka_t* const made = library_.create(type, conf_, why.data(), why.size());
  if (made == nullptr) return fail(ErrorKind::kConfig, fmt::format("kafka: {}", why.data()));
  conf_ = nullptr;  // the client has it
  return made;
}

}  // namespace tailgate
