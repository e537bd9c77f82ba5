#include "libradgpt/distributed/peer_watch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "libradgpt/distributed/peer_messages.h"

namespace radgpt {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kInterval = 100ms;
constexpr auto kRollCall = 500ms;  // five signs of life
constexpr auto kStoreAnswer = 700ms;
constexpr auto kLook = 5ms;  // whether a long verb has ended
constexpr int64_t kNeighbourRounds = 5;
constexpr auto kLeastSilence = 1s;  // two looks at a neighbour
constexpr auto kOwnTime = 1s;       // for a rank to come to its next verb by itself

Clock::duration to_duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

/// Of the watch's thread and its rank; lives as long as the longer of both.
struct PeerWatch::Shared {
  c10::intrusive_ptr<c10d::Store> store;  // the thread's alone
  std::string keeper;
  std::vector<RankProcess> ranks;
  int rank = 0;
  bool keeps_store = false;
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
  std::optional<Verdict> accusation;
  std::optional<Verdict> verdict;
  bool all_heard = false;  ///< the verdict; only where this rank keeps the store
  Clock::time_point verdict_time;
  bool wants_signs = false;
  bool hurried = false;  ///< something is wished for before the next interval
  std::vector<Sign> signs;
  struct Neighbour {
    int rank;
    int64_t count = -1;
    Clock::time_point seen = Clock::now();  ///< when the count last changed
  };
  std::vector<Neighbour> neighbours;  ///< next and last rank: if one does not look, the other does
  Clock::time_point store_answered = Clock::now();
  std::atomic<bool> undisturbed{false};

  int size() const { return static_cast<int>(ranks.size()); }
  std::string name(int which) const {
    return concat("rank ", which, " (", ranks[static_cast<size_t>(which)].host, ")");
  }
  template <typename Predicate>
  bool wait(std::unique_lock<std::mutex>& lock, Clock::duration time, Predicate predicate) {
    return changed.wait_for(lock, time, predicate);
  }

  void run();
  void answer_wishes(int64_t count);
  Sign read_sign(int other);
  void look_at_neighbours();
  Clock::time_point last_sign() const;
  void take_verdict();
  void collect_done();
  void collect_heard();
  bool call_roll(std::unique_lock<std::mutex>& lock);
  std::optional<Verdict> accuse_processes() const;
  std::optional<Verdict> accuse_silent(const std::vector<Sign>& before,
                                       const std::string& what) const;
  Verdict accuse_slowest(const std::string& what) const;
  Verdict accuse_keeper() const;
  std::optional<Verdict> find_silent(std::unique_lock<std::mutex>& lock, const std::string& what);
  std::optional<Verdict> find_culprit(std::unique_lock<std::mutex>& lock, const std::string& what);
  void publish(std::unique_lock<std::mutex>& lock, const Verdict& found);
  std::string where() const { return concat("step ", step, ": "); }
};

/// One round: a sign of life, and whatever the rank or the others want.
void PeerWatch::Shared::answer_wishes(int64_t count) {
  store->set(sign_key(rank), to_bytes(Sign{count, step, verbs}));
  std::unique_lock lock(mutex);
  const std::optional<Verdict> accused = accusation;
  const bool roll = wants_signs, done = finished && !all_finished;
  lock.unlock();
  if (accused) store->compareSet(kVerdict, {}, to_bytes(*accused));
  if (!verdict && store->check({kVerdict})) take_verdict();
  std::vector<Sign> found;
  for (int other = 0; roll && other < size(); ++other) found.push_back(read_sign(other));
  if (count % kNeighbourRounds == 0) look_at_neighbours();
  if (done) collect_done();
  if (verdict && keeps_store) collect_heard();
  lock.lock();
  if (roll) {
    signs = found;
    wants_signs = false;
  }
  store_answered = Clock::now();
  lock.unlock();
  changed.notify_all();
}

void PeerWatch::Shared::look_at_neighbours() {
  for (Neighbour& neighbour : neighbours) {
    const int64_t count = read_sign(neighbour.rank).count;
    const std::lock_guard lock(mutex);
    if (count != std::exchange(neighbour.count, count)) neighbour.seen = Clock::now();
  }
}

/// Of the store or the neighbour that has been silent for longest.
Clock::time_point PeerWatch::Shared::last_sign() const {
  Clock::time_point last = store_answered;
  for (const Neighbour& neighbour : neighbours) last = std::min(last, neighbour.seen);
  return last;
}

Sign PeerWatch::Shared::read_sign(int other) {
  const std::string key = sign_key(other);
  return store->check({key}) ? parse_sign(store->get(key)) : Sign{};
}

void PeerWatch::Shared::take_verdict() {
  const Verdict found = parse_verdict(store->get(kVerdict));
  store->set(heard_key(rank), to_store("1"));
  const std::lock_guard lock(mutex);
  verdict = found;
  verdict_time = Clock::now();
}

void PeerWatch::Shared::collect_done() {
  store->set(done_key(rank), to_store("1"));
  std::vector<std::string> keys;
  for (int other = 0; other < size(); ++other) keys.push_back(done_key(other));
  if (!store->check(keys)) return;
  const std::lock_guard lock(mutex);
  all_finished = true;
}

void PeerWatch::Shared::collect_heard() {
  std::vector<std::string> keys;
  for (int other = 0; other < size(); ++other) {
    const std::vector<int>& accused = verdict->accused;
    if (std::find(accused.begin(), accused.end(), other) == accused.end()) {
      keys.push_back(heard_key(other));
    }
  }
  if (!keys.empty() && !store->check(keys)) return;
  const std::lock_guard lock(mutex);
  all_heard = true;
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
    const bool tell =
        !told && verdict && !acknowledged && !undisturbed && Clock::now() - verdict_time > kOwnTime;
    if (tell) {
      told = true;
      const Error error = verdict->error;
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

std::optional<Verdict> PeerWatch::Shared::accuse_processes() const {
  std::string names;
  std::vector<int> accused;
  for (int other = 0; other < size(); ++other) {
    const std::string state =
        state_of(ranks[static_cast<size_t>(other)], ranks[static_cast<size_t>(rank)]);
    if (other == rank || state.empty()) continue;
    names += concat(names.empty() ? "" : ", ", name(other), ' ', state);
    accused.push_back(other);
  }
  if (accused.empty()) return std::nullopt;
  return Verdict{Error(ErrorKind::kPeer, where() + names), accused};
}

std::optional<Verdict> PeerWatch::Shared::accuse_silent(const std::vector<Sign>& before,
                                                        const std::string& what) const {
  std::string silent;
  std::vector<int> accused;
  for (int other = 0; other < size(); ++other) {
    const auto index = static_cast<size_t>(other);
    if (other == rank || signs[index].count != before[index].count) continue;
    silent += concat(silent.empty() ? "" : ", ", name(other));
    accused.push_back(other);
  }
  if (silent.empty()) return std::nullopt;
  return Verdict{Error(ErrorKind::kPeer, concat(where(), silent, ' ', what,
                                                " and shows no sign of life: dead, stopped or "
                                                "cut off")),
                 accused};
}

Verdict PeerWatch::Shared::accuse_slowest(const std::string& what) const {
  int slowest = rank;
  for (int other = 0; other < size(); ++other) {
    if (signs[static_cast<size_t>(other)].verbs < signs[static_cast<size_t>(slowest)].verbs) {
      slowest = other;
    }
  }
  if (slowest == rank) {
    return {
        Error(ErrorKind::kPeer, concat(where(), "a rank ", what, ", but all show signs of life"))};
  }
  return {Error(ErrorKind::kPeer,
                concat(where(), name(slowest), ' ', what, ": it is alive, but still at step ",
                       signs[static_cast<size_t>(slowest)].step)),
          {slowest}};
}

Verdict PeerWatch::Shared::accuse_keeper() const {
  const bool by_rank = keeper == "rank 0";
  return {Error(ErrorKind::kPeer,
                concat(where(), by_rank ? name(0) : keeper,
                       ", which keeps the store, does not answer: dead, stopped or cut off")),
          by_rank ? std::vector<int>{0} : std::vector<int>{}};
}

/// Nothing if all show signs of life, or another rank's verdict has come meanwhile.
std::optional<Verdict> PeerWatch::Shared::find_silent(std::unique_lock<std::mutex>& lock,
                                                      const std::string& what) {
  if (verdict) return std::nullopt;
  if (const std::optional<Verdict> found = accuse_processes()) return found;
  bool answered = call_roll(lock);
  if (answered && !verdict) {
    const std::vector<Sign> before = signs;
    const auto end = Clock::now() + kRollCall;
    while (!verdict && !lost_store && Clock::now() < end) {
      // A killed process closes its connections before it is seen to have died.
      if (const auto found = accuse_processes()) return found;
      wait(lock, kInterval / 2, [this] { return verdict || lost_store; });
    }
    answered = call_roll(lock);
    if (answered && !verdict) return accuse_silent(before, what);
  }
  if (verdict) return std::nullopt;
  return accuse_keeper();
}

/// Nothing if another rank's verdict has come meanwhile.
std::optional<Verdict> PeerWatch::Shared::find_culprit(std::unique_lock<std::mutex>& lock,
                                                       const std::string& what) {
  const std::optional<Verdict> silent = find_silent(lock, what);
  if (silent || verdict) return silent;
  return accuse_slowest(what);
}

/// Puts an accusation into the store, unless there is one; the verdict is what stands there.
void PeerWatch::Shared::publish(std::unique_lock<std::mutex>& lock, const Verdict& found) {
  accusation = found;
  const bool store_is_gone = keeper == "rank 0" && rank != 0 &&
                             std::count(found.accused.begin(), found.accused.end(), 0) > 0;
  if (store_is_gone) return;
  hurried = true;
  changed.notify_all();
  wait(lock, kStoreAnswer, [this] { return verdict || lost_store; });
}

PeerWatch::PeerWatch(const Rendezvous& rendezvous, int rank,
                     std::function<void(const Error&)> on_failure)
    : shared_(std::make_shared<Shared>()) {
  shared_->store = connect_again(rendezvous);
  shared_->keeper = rendezvous.keeper;
  shared_->ranks = rendezvous.ranks;
  shared_->rank = rank;
  shared_->keeps_store = rank == 0 && rendezvous.keeper == "rank 0";
  shared_->on_failure = std::move(on_failure);
  const int size = shared_->size();
  shared_->neighbours = {{(rank + 1) % size}, {(rank + size - 1) % size}};
  std::thread([shared = shared_] { shared->run(); }).detach();
}

PeerWatch::~PeerWatch() {
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  shared_->acknowledged = true;
  shared_->changed.notify_all();
  shared_->wait(lock, 2 * kInterval, [this] { return shared_->ended; });
}

void PeerWatch::enter_step(int64_t step) { shared_->step = step; }
void PeerWatch::enter_verb() { ++shared_->verbs; }
void PeerWatch::set_undisturbed(bool undisturbed) { shared_->undisturbed = undisturbed; }

std::optional<Error> PeerWatch::verdict() {
  std::unique_lock lock(shared_->mutex);
  if (!shared_->verdict) return std::nullopt;
  shared_->acknowledged = true;
  return conclude(lock);
}

Error PeerWatch::explain(const std::string& what) {
  std::unique_lock lock(shared_->mutex);
  shared_->acknowledged = true;
  const std::optional<Verdict> found = shared_->find_culprit(lock, what);
  if (found) shared_->publish(lock, *found);
  return shared_->verdict ? conclude(lock) : found->error;
}

std::optional<Error> PeerWatch::await(const std::function<bool()>& is_done, double timeout) {
  Shared& shared = *shared_;
  const Clock::duration longest = std::max<Clock::duration>(to_duration(timeout), kLeastSilence);
  std::unique_lock lock(shared.mutex);
  while (!is_done()) {
    std::optional<Verdict> silent;
    if (shared.lost_store || Clock::now() - shared.last_sign() > longest) {
      for (Shared::Neighbour& neighbour : shared.neighbours) neighbour.seen = Clock::now();
      silent = shared.find_silent(lock, concat("did not answer within ", timeout, " s"));
    }
    if (silent) shared.publish(lock, *silent);
    if (silent || shared.verdict) {
      shared.acknowledged = true;
      return conclude(lock);
    }
    shared.wait(lock, kLook, [&] { return shared.verdict.has_value(); });
  }
  return std::nullopt;
}

void PeerWatch::accuse_self(ErrorKind kind) {
  std::unique_lock lock(shared_->mutex);
  shared_->acknowledged = true;
  if (!shared_->verdict) {
    shared_->publish(lock, {Error(kind, concat(shared_->where(), shared_->name(shared_->rank),
                                               " has ended with an error, which it names itself")),
                            {shared_->rank}});
  }
  conclude(lock);
}

/// The verdict, once all others have heard it if this rank keeps the store.
Error PeerWatch::conclude(std::unique_lock<std::mutex>& lock) {
  Shared& shared = *shared_;
  if (shared.keeps_store) {
    shared.hurried = true;
    shared.changed.notify_all();
    shared.wait(lock, kStoreAnswer, [&] { return shared.all_heard || shared.lost_store; });
  }
  return shared.verdict ? shared.verdict->error : shared.accusation->error;
}

void PeerWatch::finish(double seconds) {
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  shared.finished = shared.hurried = true;
  shared.changed.notify_all();
  shared.wait(lock, to_duration(seconds),
              [&] { return shared.all_finished || shared.verdict || shared.lost_store; });
}

}  // namespace radgpt
