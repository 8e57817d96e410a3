// SPDX-License-Identifier: Apache-2.0
// KafkaLibrary: the functions of librdkafka that the kafka exporter and the kafka receiver call, found at run time. The
// library is loaded when the first of them starts, so that a daemon without one neither maps it nor pays for what it
// initialises (docs/design/0013-backends.md). It is never unloaded: it has threads of its own.
// KafkaConf: the configuration of one client until it is made.
//
// Threads: one makes the client; librdkafka says which calls are for any.
#pragma once

#include <librdkafka/rdkafka.h>

#include <string>

#include "base/result.h"
#include "net/kafka/connection.h"

namespace tailgate {

struct KafkaLibrary {
  decltype(&rd_kafka_conf_new) conf_new = nullptr;
  decltype(&rd_kafka_conf_destroy) conf_destroy = nullptr;
  decltype(&rd_kafka_conf_set) conf_set = nullptr;
  decltype(&rd_kafka_conf_set_opaque) conf_set_opaque = nullptr;
  decltype(&rd_kafka_conf_set_dr_msg_cb) conf_set_dr_msg_cb = nullptr;
  decltype(&rd_kafka_conf_set_error_cb) conf_set_error_cb = nullptr;
  decltype(&rd_kafka_conf_set_log_cb) conf_set_log_cb = nullptr;
  decltype(&rd_kafka_conf_set_resolve_cb) conf_set_resolve_cb = nullptr;  // null: before 1.9
  decltype(&rd_kafka_conf_set_rebalance_cb) conf_set_rebalance_cb = nullptr;
  decltype(&rd_kafka_conf_set_offset_commit_cb) conf_set_offset_commit_cb = nullptr;
  decltype(&rd_kafka_version) version = nullptr;
  decltype(&rd_kafka_new) create = nullptr;
  decltype(&rd_kafka_destroy) destroy = nullptr;
  decltype(&rd_kafka_topic_new) topic_new = nullptr;
  decltype(&rd_kafka_topic_destroy) topic_destroy = nullptr;
  decltype(&rd_kafka_queue_get_main) queue_get_main = nullptr;
  decltype(&rd_kafka_queue_destroy) queue_destroy = nullptr;
  decltype(&rd_kafka_queue_io_event_enable) queue_io_event_enable = nullptr;
  decltype(&rd_kafka_produce) produce = nullptr;
  decltype(&rd_kafka_produce_batch) produce_batch = nullptr;
  decltype(&rd_kafka_last_error) last_error = nullptr;
  decltype(&rd_kafka_err2str) err2str = nullptr;
  decltype(&rd_kafka_poll) poll = nullptr;
  decltype(&rd_kafka_purge) purge = nullptr;
  // of consumers
  decltype(&rd_kafka_consumer_poll) consumer_poll = nullptr;
  decltype(&rd_kafka_consumer_close_queue) consumer_close_queue = nullptr;
  decltype(&rd_kafka_consumer_closed) consumer_closed = nullptr;
  decltype(&rd_kafka_subscribe) subscribe = nullptr;
  decltype(&rd_kafka_poll_set_consumer) poll_set_consumer = nullptr;
  decltype(&rd_kafka_assign) assign = nullptr;
  decltype(&rd_kafka_incremental_assign) incremental_assign = nullptr;
  decltype(&rd_kafka_incremental_unassign) incremental_unassign = nullptr;
  decltype(&rd_kafka_assignment_lost) assignment_lost = nullptr;
  decltype(&rd_kafka_pause_partitions) pause_partitions = nullptr;
  decltype(&rd_kafka_resume_partitions) resume_partitions = nullptr;
  decltype(&rd_kafka_seek_partitions) seek_partitions = nullptr;
  decltype(&rd_kafka_offsets_store) offsets_store = nullptr;
  decltype(&rd_kafka_commit_queue) commit_queue = nullptr;
  decltype(&rd_kafka_queue_new) queue_new = nullptr;
  decltype(&rd_kafka_queue_poll_callback) queue_poll_callback = nullptr;
  decltype(&rd_kafka_topic_partition_list_new) list_new = nullptr;
  decltype(&rd_kafka_topic_partition_list_destroy) list_destroy = nullptr;
  decltype(&rd_kafka_topic_partition_list_add) list_add = nullptr;
  decltype(&rd_kafka_message_destroy) message_destroy = nullptr;
  decltype(&rd_kafka_get_watermark_offsets) get_watermark_offsets = nullptr;
  decltype(&rd_kafka_query_watermark_offsets) query_watermark_offsets = nullptr;
  decltype(&rd_kafka_offsets_for_times) offsets_for_times = nullptr;
  decltype(&rd_kafka_metadata) metadata = nullptr;
  decltype(&rd_kafka_metadata_destroy) metadata_destroy = nullptr;
  decltype(&rd_kafka_error_string) error_string = nullptr;
  decltype(&rd_kafka_error_destroy) error_destroy = nullptr;
  decltype(&rd_kafka_fatal_error) fatal_error = nullptr;
};

// kIo: it is not installed, or too old.
Result<KafkaLibrary> load_kafka_library();

class KafkaConf {
 public:
  // `library` outlives it.
  explicit KafkaConf(const KafkaLibrary& library) : library_(library), conf_(library.conf_new()) {}
  ~KafkaConf() {
    if (conf_ != nullptr) library_.conf_destroy(conf_);
  }
  KafkaConf(const KafkaConf&) = delete;
  KafkaConf& operator=(const KafkaConf&) = delete;

  // kConfig, without the value: librdkafka does not take it.
  Result<void> set(const std::string& name, const std::string& value);
  Result<void> set(const KafkaProperties& properties);
  // For librdkafka's callbacks that are set with it.
  rd_kafka_conf_t* get() { return conf_; }
  // The client, which whoever called destroys. Its log lines go to ours, as debug. Once.
  Result<rd_kafka_t*> make(rd_kafka_type_t type);

 private:
  const KafkaLibrary& library_;
  rd_kafka_conf_t* conf_;
};

}  // namespace tailgate
