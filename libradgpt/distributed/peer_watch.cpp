#include "libradgpt/distributed/peer_watch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

namespace radgpt {

namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<uint8_t>;
using namespace std::chrono_literals;

constexpr auto kInterval = 100ms;
constexpr auto kRollCall = 500ms;  // five signs of life
constexpr auto kStoreAnswer = 700ms;
constexpr auto kOwnTime = 1s;  // for a rank to come to its next verb by itself
constexpr const char* kVerdict = "verdict";

/// What a rank last said of itself.
struct Sign {
  int64_t count = -1;
  int64_t step = 0;
  int64_t verbs = 0;
};

std::string sign_key(int rank) { return concat("sign/", rank); }
std::string done_key(int rank) { return concat("done/", rank); }

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

Bytes to_bytes(const Sign& sign) {
  return bytes_of(concat(sign.count, ' ', sign.step, ' ', sign.verbs));
}

Sign parse_sign(const Bytes& bytes) {
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  Sign sign;
  text >> sign.count >> sign.step >> sign.verbs;
  return sign;
}

/// The exit code, then the message.
Bytes to_bytes(const Error& error) {
  return bytes_of(concat(error.exit_code(), ' ', error.what()));
}

Error parse_verdict(const Bytes& bytes) {
  const std::string text(bytes.begin(), bytes.end());
  int kind = static_cast<int>(ErrorKind::kPeer);
  std::istringstream(text) >> kind;
  return {static_cast<ErrorKind>(kind), text.substr(std::min(text.size(), text.find(' ') + 1))};
}

}  // namespace

/// Of the watch's thread and its rank; lives as long as the longer of both.
struct PeerWatch::Shared {
  c10::intrusive_ptr<c10d::Store> store;  // the thread's alone
  std::string keeper;
  std::vector<std::string> hosts;
  int rank = 0;
  std::function<void(const Error&)> on_failure;
  std::atomic<int64_t> step{0};
  std::atomic<int64_t> verbs{0};

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  bool ended = false;
  bool acknowledged = false;  ///< the rank knows of the verdict
  bool finished = false;      ///< the rank needs nobody any more
  bool all_finished = false;
  bool lost_store = false;
  int64_t rounds = 0;  ///< times that the store has answered
  std::optional<Error> accusation;
  std::optional<Error> verdict;
  Clock::time_point verdict_time;
  bool wants_signs = false;
  bool hurried = false;  ///< something is wished for before the next interval
  std::vector<Sign> signs;

  int size() const { return static_cast<int>(hosts.size()); }
  std::string name(int which) const {
    return concat("rank ", which, " (", hosts[static_cast<size_t>(which)], ")");
  }
  template <typename Predicate>
  bool wait(std::unique_lock<std::mutex>& lock, Clock::duration time, Predicate predicate) {
    return changed.wait_for(lock, time, predicate);
  }

  void run();
  void answer_wishes(int64_t count);
  void take_verdict();
  void collect_done();
  bool call_roll(std::unique_lock<std::mutex>& lock);
  Error accuse(const std::vector<Sign>& before, const std::string& what) const;
};

/// One round: a sign of life, and whatever the rank or the others want.
void PeerWatch::Shared::answer_wishes(int64_t count) {
  store->set(sign_key(rank), to_bytes(Sign{count, step, verbs}));
  std::unique_lock lock(mutex);
  const std::optional<Error> accused = accusation;
  const bool roll = wants_signs, done = finished && !all_finished;
  lock.unlock();
  if (accused) store->compareSet(kVerdict, {}, to_bytes(*accused));
  if (!verdict && store->check({kVerdict})) take_verdict();
  std::vector<Sign> found;
  for (int other = 0; roll && other < size(); ++other) {
    const std::string key = sign_key(other);
    found.push_back(store->check({key}) ? parse_sign(store->get(key)) : Sign{});
  }
  if (done) collect_done();
  lock.lock();
  if (roll) {
    signs = found;
    wants_signs = false;
  }
  ++rounds;
  lock.unlock();
  changed.notify_all();
}

void PeerWatch::Shared::take_verdict() {
  const Error found = parse_verdict(store->get(kVerdict));
  const std::lock_guard lock(mutex);
  verdict = found;
  verdict_time = Clock::now();
}

void PeerWatch::Shared::collect_done() {
  store->set(done_key(rank), bytes_of("1"));
  std::vector<std::string> keys;
  for (int other = 0; other < size(); ++other) keys.push_back(done_key(other));
  if (!store->check(keys)) return;
  const std::lock_guard lock(mutex);
  all_finished = true;
}

void PeerWatch::Shared::run() {
  bool told = false;
  for (int64_t count = 0;; ++count) {
    try {
      if (!lost_store) answer_wishes(count);
    } catch (const std::exception&) {
      const std::lock_guard lock(mutex);
      lost_store = true;
    }
    std::unique_lock lock(mutex);
    const bool tell = !told && verdict && !acknowledged && Clock::now() - verdict_time > kOwnTime;
    if (tell) {
      told = true;
      const Error error = *verdict;
      lock.unlock();
      if (on_failure) on_failure(error);
      lock.lock();
    }
    changed.notify_all();
    wait(lock, kInterval, [&] { return stopping || hurried; });
    hurried = false;
    if (stopping) break;
  }
  const std::lock_guard lock(mutex);
  ended = true;
  changed.notify_all();
}

/// Leaves the signs of all ranks in `signs`; false if the store does not answer.
bool PeerWatch::Shared::call_roll(std::unique_lock<std::mutex>& lock) {
  wants_signs = hurried = true;
  changed.notify_all();
  return wait(lock, kStoreAnswer, [&] { return !wants_signs || lost_store || verdict; }) &&
         !lost_store;
}

Error PeerWatch::Shared::accuse(const std::vector<Sign>& before, const std::string& what) const {
  std::string silent;
  int slowest = rank;
  for (int other = 0; other < size(); ++other) {
    const Sign& sign = signs[static_cast<size_t>(other)];
    if (other != rank && sign.count == before[static_cast<size_t>(other)].count) {
      silent += concat(silent.empty() ? "" : ", ", name(other));
    }
    if (sign.verbs < signs[static_cast<size_t>(slowest)].verbs) slowest = other;
  }
  const std::string where = concat("step ", step, ": ");
  if (!silent.empty()) {
    return {ErrorKind::kPeer, concat(where, silent, " ", what,
                                     " and shows no sign of life: dead, stopped or cut off")};
  }
  if (slowest != rank) {
    const Sign& sign = signs[static_cast<size_t>(slowest)];
    return {ErrorKind::kPeer, concat(where, name(slowest), " ", what,
                                     ": it is alive, but still at step ", sign.step)};
  }
  return {ErrorKind::kPeer,
          concat(where, "a rank ", what, ", and all show signs of life: the network lost data")};
}

PeerWatch::PeerWatch(const Rendezvous& rendezvous, int rank,
                     std::function<void(const Error&)> on_failure)
    : shared_(std::make_shared<Shared>()) {
  shared_->store = connect_again(rendezvous);
  shared_->keeper = rendezvous.keeper;
  shared_->hosts = rendezvous.hosts;
  shared_->rank = rank;
  shared_->on_failure = std::move(on_failure);
  std::thread([shared = shared_] { shared->run(); }).detach();
}

PeerWatch::~PeerWatch() {
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  shared_->acknowledged = true;
  shared_->changed.notify_all();
  shared_->wait(lock, kStoreAnswer, [this] { return shared_->ended; });
}

void PeerWatch::enter_step(int64_t step) { shared_->step = step; }
void PeerWatch::enter_verb() { ++shared_->verbs; }

std::optional<Error> PeerWatch::verdict() {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->verdict) shared_->acknowledged = true;
  return shared_->verdict;
}

Error PeerWatch::explain(const std::string& what) {
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  shared.acknowledged = true;
  bool answered = shared.verdict || shared.call_roll(lock);
  if (answered && !shared.verdict) {
    const std::vector<Sign> before = shared.signs;
    shared.wait(lock, kRollCall, [&] { return shared.verdict || shared.lost_store; });
    answered = shared.verdict || shared.call_roll(lock);
    if (answered && !shared.verdict) {
      shared.accusation = shared.accuse(before, what);
      shared.hurried = true;
      shared.changed.notify_all();
      shared.wait(lock, kStoreAnswer, [&] { return shared.verdict || shared.lost_store; });
      return shared.verdict ? *shared.verdict : *shared.accusation;
    }
  }
  if (shared.verdict) return *shared.verdict;
  const std::string keeper = shared.keeper == "rank 0" ? shared.name(0) : shared.keeper;
  return {ErrorKind::kPeer,
          concat("step ", shared.step, ": ", keeper,
                 ", which keeps the store, does not answer: dead, stopped or cut off")};
}

void PeerWatch::accuse_self(ErrorKind kind) {
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  shared.acknowledged = true;
  if (shared.verdict) return;
  shared.accusation = Error(kind, concat("step ", shared.step, ": ", shared.name(shared.rank),
                                         " has ended with an error, which it names itself"));
  shared.hurried = true;
  shared.changed.notify_all();
  shared.wait(lock, kStoreAnswer, [&] { return shared.verdict || shared.lost_store; });
}

void PeerWatch::finish(double seconds) {
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  shared.finished = shared.hurried = true;
  shared.changed.notify_all();
  shared.wait(lock,
              std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)),
              [&] { return shared.all_finished || shared.verdict || shared.lost_store; });
}

}  // namespace radgpt
