#define USE_C10D_GLOO

#include "libradgpt/distributed/communicator.h"

#include <c10/util/Logging.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <map>
#include <optional>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>

#include "libradgpt/distributed/device_backend.h"
#include "libradgpt/distributed/network_address.h"
#include "libradgpt/distributed/peer_watch.h"
#include "libradgpt/distributed/rendezvous.h"

namespace radgpt {

namespace {

using Clock = std::chrono::steady_clock;
using WorkPointer = c10::intrusive_ptr<c10d::Work>;

/// c10d prints every lost connection with a stack trace; here it is an Error.
void silence_warnings() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_ERROR;
}

/// Gloo and the store write to connections that the other side may have closed.
void ignore_sigpipe() {
  struct sigaction action = {};
  if (sigaction(SIGPIPE, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store,
                                            const RankEnvironment& environment,
                                            const std::string& address,
                                            std::chrono::milliseconds timeout) {
  const auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, environment.rank, environment.size,
                                                     options);
}

}  // namespace

DeviceBackendMaker& device_backend_maker() {
  static DeviceBackendMaker maker = nullptr;
  return maker;
}

class Communicator::State {
 public:
  State() = default;
  State(const RankEnvironment& environment, const CommunicatorOptions& options);
  ~State();

  bool is_alone() const { return !watch_; }
  c10d::Backend& backend_of(const at::Tensor& tensor);
  void require_unbroken();
  void await_all(double longest);
  /// Starts a verb, start(backend, time-out); `tensors` live until it ends.
  template <typename Start>
  Transfer start(std::vector<at::Tensor> tensors, int64_t bytes, const Start& start);
  void wait(const WorkPointer& work);
  [[noreturn]] void fail_as_peer(const std::exception& error, double timeout);

  int rank = 0;
  int size = 1;
  std::vector<RankProcess> ranks;
  CommunicatorOptions options;
  c10::intrusive_ptr<c10d::Store> store;
  std::unique_ptr<PeerWatch> watch_;
  c10::intrusive_ptr<c10d::Backend> gloo;
  c10::intrusive_ptr<c10d::Backend> device;
  bool delayed = true;           ///< the others may come late to the next verb
  WorkPointer awaited;           ///< the verb by which all have come
  std::optional<Error> failure;  ///< nothing works after the first
  bool ended = false;            ///< this rank has left by an error of its own
  int64_t bytes_sent = 0;
  double seconds_waited = 0;
};

class Transfer::State {
 public:
  Communicator::State* communicator;
  WorkPointer work;
  std::vector<at::Tensor> tensors;
};

Transfer::Transfer() = default;
Transfer::Transfer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Transfer::Transfer(Transfer&&) noexcept = default;

Transfer& Transfer::operator=(Transfer&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Transfer::~Transfer() {
  try {
    wait();
  } catch (const std::exception&) {  // whoever cares has waited
  }
}

void Transfer::wait() {
  if (!state_) return;
  const std::unique_ptr<State> state = std::move(state_);
  state->communicator->wait(state->work);
}

Communicator::State::State(const RankEnvironment& environment, const CommunicatorOptions& given)
    : rank(environment.rank), size(environment.size), options(given) {
  silence_warnings();
  ignore_sigpipe();
  const Rendezvous rendezvous = meet(environment, options);
  ranks = rendezvous.ranks;
  store = c10::make_intrusive<c10d::PrefixStore>(rendezvous.prefix, rendezvous.store);
  watch_ = std::make_unique<PeerWatch>(rendezvous, rank, options.on_failure);
  const auto timeout = milliseconds(options.timeout);
  try {
    gloo = make_gloo(c10::make_intrusive<c10d::PrefixStore>("gloo", store), environment,
                     rendezvous.address, timeout);
    if (options.device.is_cuda()) {
      require(device_backend_maker() != nullptr, "distributed: this build has no NCCL");
      device = device_backend_maker()(c10::make_intrusive<c10d::PrefixStore>("nccl", store), rank,
                                      size, timeout, interface_name(rendezvous.address));
    }
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail_as_peer(error, options.timeout);
  }
}

/// A verb that cannot be ended keeps Gloo's threads; so all that they use stays behind.
Communicator::State::~State() {
  if (awaited && !awaited->isCompleted()) (void)gloo.release();
}

c10d::Backend& Communicator::State::backend_of(const at::Tensor& tensor) {
  require(tensor.is_cpu() || device, "communicator: tensors must be on ", options.device, ", got ",
          tensor.device());
  return tensor.is_cpu() ? *gloo : *device;
}

/// Throws what this rank has failed with, or what another one's failure means to it.
void Communicator::State::require_unbroken() {
  if (!failure) failure = watch_->verdict();
  if (failure) throw *failure;
}

/// Lets no verb begin before all ranks have come, so that those under way need no time but their
/// own, however many they are.
void Communicator::State::await_all(double longest) {
  const auto begin = Clock::now();
  c10d::AllgatherOptions gather;
  gather.timeout = milliseconds(longest);
  at::Tensor all = at::empty({size, 1}, at::kByte), mine = at::zeros({1, 1}, at::kByte);
  try {
    awaited = gloo->_allgather_base(all, mine, gather);
    failure = watch_->await([this] { return awaited->isCompleted(); }, options.timeout);
    if (!failure) awaited->wait();
  } catch (const std::exception& error) {
    fail_as_peer(error, longest);
  }
  if (failure) throw *failure;
  awaited.reset();
  seconds_waited += std::chrono::duration<double>(Clock::now() - begin).count();
}

template <typename Start>
Transfer Communicator::State::start(std::vector<at::Tensor> tensors, int64_t bytes,
                                    const Start& start) {
  require_unbroken();
  watch_->enter_verb();
  if (std::exchange(delayed, false)) await_all(std::max(options.start_timeout, options.timeout));
  bytes_sent += bytes;
  auto state = std::make_unique<Transfer::State>();
  state->communicator = this;
  try {
    state->work = start(backend_of(tensors.front()), milliseconds(options.timeout));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail_as_peer(error, options.timeout);
  }
  state->tensors = std::move(tensors);
  return Transfer(std::move(state));
}

void Communicator::State::wait(const WorkPointer& work) {
  const auto begin = Clock::now();
  try {
    work->wait();
  } catch (const std::exception& error) {
    fail_as_peer(error, options.timeout);
  }
  seconds_waited += std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Of many verbs that fail together, as the blocks of a gradient do, the first finds out why.
void Communicator::State::fail_as_peer(const std::exception& error, double timeout) {
  if (!failure) {
    const bool late = std::string_view(error.what()).find("imed out") != std::string_view::npos;
    failure = watch_->explain(late ? concat("did not answer within ", timeout, " s")
                                   : "broke the connection");
  }
  throw *failure;
}

Communicator::Communicator() : state_(std::make_unique<State>()) {}

Communicator::Communicator(const RankEnvironment& environment, const CommunicatorOptions& options)
    : state_(environment.size == 1 ? std::make_unique<State>()
                                   : std::make_unique<State>(environment, options)) {}

Communicator::~Communicator() {
  if (state_->is_alone() || state_->failure || state_->ended) return;
  state_->watch_->finish(state_->options.timeout);
}

int Communicator::rank() const { return state_->rank; }
int Communicator::size() const { return state_->size; }

int Communicator::local_size() const {
  if (state_->is_alone()) return 1;
  const std::string& own = state_->ranks[static_cast<size_t>(state_->rank)].machine;
  return static_cast<int>(
      std::count_if(state_->ranks.begin(), state_->ranks.end(),
                    [&](const RankProcess& one) { return one.machine == own; }));
}

std::string Communicator::name(int rank) const {
  if (state_->is_alone()) return "rank 0";
  return concat("rank ", rank, " (", state_->ranks.at(static_cast<size_t>(rank)).host, ")");
}

Transfer Communicator::exchange(at::Tensor receive, std::vector<int64_t> receive_counts,
                                at::Tensor send, std::vector<int64_t> send_counts) {
  State& state = *state_;
  if (state.is_alone()) {
    receive.copy_(send);
    return {};
  }
  const int64_t own = send_counts.at(static_cast<size_t>(state.rank));
  const int64_t bytes = (send.numel() - own) * static_cast<int64_t>(send.element_size());
  return state.start(
      {receive, send}, bytes, [&](c10d::Backend& backend, std::chrono::milliseconds timeout) {
        c10d::AllToAllOptions options;
        options.timeout = timeout;
        return backend.alltoall_base(receive, send, receive_counts, send_counts, options);
      });
}

Transfer Communicator::gather(at::Tensor all, at::Tensor mine) {
  State& state = *state_;
  if (state.is_alone()) {
    all.copy_(mine.unsqueeze(0));
    return {};
  }
  const auto bytes = static_cast<int64_t>(mine.nbytes()) * (state.size - 1);
  at::Tensor row = mine.unsqueeze(0);
  return state.start({all, row}, bytes,
                     [&](c10d::Backend& backend, std::chrono::milliseconds timeout) {
                       c10d::AllgatherOptions options;
                       options.timeout = timeout;
                       return backend._allgather_base(all, row, options);
                     });
}

Transfer Communicator::sum(at::Tensor values) {
  State& state = *state_;
  if (state.is_alone()) return {};
  const auto bytes = static_cast<int64_t>(values.nbytes()) * 2 * (state.size - 1) / state.size;
  std::vector<at::Tensor> tensors = {values};
  return state.start(tensors, bytes,
                     [&](c10d::Backend& backend, std::chrono::milliseconds timeout) {
                       c10d::AllreduceOptions options;
                       options.timeout = timeout;
                       return backend.allreduce(tensors, options);
                     });
}

Transfer Communicator::broadcast(at::Tensor values) {
  State& state = *state_;
  if (state.is_alone()) return {};
  const int64_t bytes = state.rank == 0 ? static_cast<int64_t>(values.nbytes()) : 0;
  std::vector<at::Tensor> tensors = {values};
  return state.start(tensors, bytes,
                     [&](c10d::Backend& backend, std::chrono::milliseconds timeout) {
                       c10d::BroadcastOptions options;
                       options.timeout = timeout;
                       return backend.broadcast(tensors, options);
                     });
}

std::vector<std::vector<double>> Communicator::gather_numbers(const std::vector<double>& mine) {
  const auto count = static_cast<int64_t>(mine.size());
  const at::Tensor own = at::tensor(mine, at::kDouble);
  const at::Tensor all = at::empty({size(), count}, at::kDouble);
  gather(all, own).wait();
  std::vector<std::vector<double>> numbers;
  for (int rank = 0; rank < size(); ++rank) {
    const double* first = all[rank].const_data_ptr<double>();
    numbers.emplace_back(first, first + count);
  }
  return numbers;
}

std::vector<std::string> Communicator::gather_texts(const std::string& mine) {
  constexpr double kLongest = 1 << 24;
  double longest = 0;
  const auto lengths = gather_numbers({static_cast<double>(mine.size())});
  for (const auto& length : lengths) longest = std::max(longest, length[0]);
  require(longest <= kLongest, "communicator: texts must have at most ", kLongest, " bytes, got ",
          longest);
  const at::Tensor own = at::zeros({static_cast<int64_t>(longest) + 1}, at::kByte);
  std::copy(mine.begin(), mine.end(), own.mutable_data_ptr<uint8_t>());
  const at::Tensor all = at::empty({size(), own.numel()}, at::kByte);
  gather(all, own).wait();
  std::vector<std::string> texts;
  for (int rank = 0; rank < size(); ++rank) {
    const auto* first = reinterpret_cast<const char*>(all[rank].const_data_ptr<uint8_t>());
    texts.emplace_back(first, static_cast<size_t>(lengths[static_cast<size_t>(rank)][0]));
  }
  return texts;
}

void Communicator::require_same(const std::string& what, const std::string& value, ErrorKind kind) {
  const std::vector<std::string> values = gather_texts(value);
  std::map<std::string, int> holders;
  for (const std::string& one : values) ++holders[one];
  if (holders.size() == 1) return;
  state_->ended = true;  // every rank fails here by itself
  const auto usual = std::max_element(
      holders.begin(), holders.end(),
      [](const auto& left, const auto& right) { return left.second < right.second; });
  if (2 * usual->second <= size()) {  // no majority: who is right is not known
    const auto other = std::find_if(values.begin(), values.end(),
                                    [&](const std::string& one) { return one != values[0]; });
    fail(kind, name(static_cast<int>(other - values.begin())), " and ", name(0),
         ": must have the same ", what, ", got different ones");
  }
  for (int rank = 0; rank < size(); ++rank) {
    if (values[static_cast<size_t>(rank)] == usual->first) continue;
    fail(kind, name(rank), ": its ", what, " must be that of the ", usual->second,
         " ranks that agree, got another");
  }
}

void Communicator::enter_step(int64_t step) {
  if (!state_->is_alone()) state_->watch_->enter_step(step);
}

void Communicator::end_with(const Error& error) {
  if (state_->is_alone() || state_->failure || state_->ended) return;
  state_->ended = true;
  state_->watch_->accuse_self(error.kind());
}

void Communicator::expect_delay() { state_->delayed = true; }

void Communicator::await_all() {
  constexpr double kMonth = 30 * 86400.0;  // c10d wants a time-out; signs of life decide
  if (state_->is_alone()) return;
  state_->require_unbroken();
  state_->watch_->enter_verb();
  state_->delayed = false;
  state_->await_all(kMonth);
}

Undisturbed::Undisturbed(Communicator& communicator) : communicator_(communicator) {
  if (!communicator_.state_->is_alone()) communicator_.state_->watch_->set_undisturbed(true);
}

Undisturbed::~Undisturbed() {
  if (!communicator_.state_->is_alone()) communicator_.state_->watch_->set_undisturbed(false);
}

int64_t Communicator::bytes_sent() const { return state_->bytes_sent; }
double Communicator::seconds_waited() const { return state_->seconds_waited; }

}  // namespace radgpt
