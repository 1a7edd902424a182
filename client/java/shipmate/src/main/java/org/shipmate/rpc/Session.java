package org.shipmate.rpc;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.capnproto.AnyPointer;
import org.shipmate.DisconnectedException;
import org.shipmate.ServiceException;

/**
 * The protocol's state between this process and a peer, without input or output: Cap'n Proto's RPC
 * of level 1. {@code rpc.capnp} has the words: a question is a call that was sent, an answer one
 * that was received; exports are this side's objects in the peer's hands, imports the peer's
 * objects here.
 *
 * <p>One lock guards all of it. What may take another lock, or run code of the user's, is done
 * after it is given back: {@link #later}.
 */
final class Session {
  private record Embargo(PromisedCapability gate, Capability target) {}

  private final Wire wire;
  private final Limits limits;
  private final Capability bootstrap;

  private final ReentrantLock lock = new ReentrantLock();
  private List<Runnable> later = new ArrayList<>();
  private DisconnectedException ended;

  private final Ids questionIds = new Ids();
  private final Map<Integer, Question> questions = new HashMap<>();
  private final Map<Integer, Answer> answers = new HashMap<>();
  private final Exchange exchange = new Exchange(this);
  private final Ids embargoIds = new Ids();
  private final Map<Integer, Embargo> embargoes = new HashMap<>();
  private int callsAtWork;
  private long bytesAtWork;

  /** {@code bootstrap} is what the peer gets first. One reference to it is taken over. */
  Session(Wire wire, Limits limits, Capability bootstrap) {
    this.wire = wire;
    this.limits = limits;
    this.bootstrap = bootstrap;
  }

  // ------------------------------------------------------------------------------ calls to the
  // peer

  /** The peer's first object. */
  Capability bootstrap() {
    return exclusively(
        () -> {
          if (ended != null) {
            return new BrokenCapability(ended);
          }
          Question question = ask();
          Outgoing message = new Outgoing();
          message.message.initBootstrap().setQuestionId(question.id);
          wire.add(message);
          return pipeline(question, new int[0]);
        });
  }

  Pending call(RemoteCapability target, CallMessage call) {
    if (target.target != null) {
      return target.target.call(call);
    }
    Outgoing message = call.outgoing();
    Pending pending =
        exclusively(
            () -> {
              if (target.target != null) {
                return null;
              }
              target.used = true;
              target.address(message.message.getCall().initTarget());
              return send(message);
            });
    return pending != null ? pending : target.target.call(call);
  }

  Capability pipeline(Question question, int[] path) {
    return exclusively(
        () -> {
          PipelinedCapability promise = new PipelinedCapability(this, question, path);
          if (questions.get(question.id) == question && !question.finished) {
            question.promises.add(promise);
            return promise;
          }
          return question.settled(path);
        });
  }

  void cancel(Question question) {
    exclusively(
        () -> {
          if (question.finished || questions.get(question.id) != question) {
            return null;
          }
          finish(question, true);
          var error = new CancellationException("the call was cancelled");
          settle(question, null, error);
          return null;
        });
  }

  void released(ImportedCapability imported) {
    exclusively(
        () -> {
          exchange.forget(imported);
          if (imported.target != null) {
            later(imported.target::release);
          }
          if (ended == null) {
            Outgoing message = new Outgoing();
            RpcSchema.Release.Builder release = message.message.initRelease();
            release.setId(imported.id);
            release.setReferenceCount(imported.remoteReferences);
            wire.add(message);
          }
          return null;
        });
  }

  void released(PipelinedCapability promise) {
    exclusively(
        () -> {
          promise.question.promises.remove(promise);
          if (promise.target != null) {
            later(promise.target::release);
          }
          return null;
        });
  }

  long streamWindowBytes() {
    return limits.streamWindowBytes();
  }

  void awaitRoom() {
    wire.awaitRoom();
  }

  private Question ask() {
    Question question = new Question(this, questionIds.next());
    questions.put(question.id, question);
    return question;
  }

  private Pending send(Outgoing message) {
    if (ended != null) {
      later(message::closeReferences);
      return Pending.failed(ended);
    }
    RpcSchema.Call.Builder call = message.message.getCall();
    List<Integer> exports = exchange.write(message.references(), call.getParams());
    Question question = ask();
    question.paramExports = exports;
    call.setQuestionId(question.id);
    wire.add(message);
    later(message::closeReferences);
    return question;
  }

  private void finish(Question question, boolean releaseResults) {
    question.finished = true;
    Outgoing message = new Outgoing();
    RpcSchema.Finish.Builder finish = message.message.initFinish();
    finish.setQuestionId(question.id);
    finish.setReleaseResultCaps(releaseResults);
    wire.add(message);
  }

  /** Tells all that wait for a question what has become of it. */
  private void settle(Question question, Response response, Throwable error) {
    question.outcome = new Question.Outcome(response, error);
    settlePromises(question);
    if (error == null) {
      later(() -> question.response.complete(response));
    } else {
      later(() -> question.response.completeExceptionally(error));
    }
  }

  private void settlePromises(Question question) {
    for (PipelinedCapability promise : question.promises) {
      become(promise, question.settled(promise.path));
    }
    question.promises.clear();
  }

  /** Says what a promise has turned out to be. */
  private void become(RemoteCapability promise, Capability target) {
    promise.target =
        promise.used && goesElsewhere(target) ? embargo(target, promise::address) : target;
  }

  /**
   * Whether calls on a promise that is this now would overtake those that went through the peer.
   */
  private boolean goesElsewhere(Capability target) {
    Capability last = target.resolved();
    boolean toPeer = last instanceof RemoteCapability remote && remote.session == this;
    return !toPeer && !(last instanceof BrokenCapability);
  }

  private PromisedCapability embargo(
      Capability target, Consumer<RpcSchema.MessageTarget.Builder> way) {
    PromisedCapability gate = new PromisedCapability();
    int id = embargoIds.next();
    embargoes.put(id, new Embargo(gate, target));
    Outgoing message = new Outgoing();
    RpcSchema.Disembargo.Builder disembargo = message.message.initDisembargo();
    way.accept(disembargo.initTarget());
    disembargo.getContext().setSenderLoopback(id);
    wire.add(message);
    return gate;
  }

  // --------------------------------------------------------------------------- messages of the
  // peer

  /** Takes a message. Throws what is wrong with it. */
  void handle(MessageArena arena) {
    RpcSchema.Message.Reader message = arena.root(RpcSchema.Message.factory);
    exclusively(
        () -> {
          if (ended == null) {
            handle(message, arena);
          }
          return null;
        });
  }

  private void handle(RpcSchema.Message.Reader message, MessageArena arena) {
    switch (message.which()) {
      case UNIMPLEMENTED -> unimplemented(message.getUnimplemented());
      case ABORT ->
          throw new DisconnectedException(
              "the peer ended the connection: " + message.getAbort().getReason());
      case BOOTSTRAP -> bootstrap(message.getBootstrap());
      case CALL -> call(message.getCall(), arena);
      case RETURN -> returned(message.getReturn(), arena);
      case FINISH -> finish(message.getFinish());
      case RESOLVE -> resolve(message.getResolve());
      case RELEASE ->
          exchange.releaseExport(
              message.getRelease().getId(),
              Integer.toUnsignedLong(message.getRelease().getReferenceCount()));
      case DISEMBARGO -> disembargo(message, arena);
      default -> refuse(message, arena);
    }
  }

  private void refuse(RpcSchema.Message.Reader message, MessageArena arena) {
    PointerWalk.walk(arena.root(Place.READ), place -> {});
    Outgoing refusal = new Outgoing();
    refusal.message.setUnimplemented(message);
    wire.add(refusal);
  }

  private void unimplemented(RpcSchema.Message.Reader refused) {
    Integer id =
        switch (refused.which()) {
          case CALL -> (Integer) refused.getCall().getQuestionId();
          case BOOTSTRAP -> (Integer) refused.getBootstrap().getQuestionId();
          default -> null;
        };
    Question question = id == null ? null : questions.remove(id);
    if (question != null && !question.finished) {
      questionIds.free(question.id);
      settle(question, null, Invocation.unimplemented("calls of the peer"));
    }
  }

  private Answer answer(int id, int bytes, boolean resultsElsewhere) {
    Answer answer = new Answer(id, bytes, resultsElsewhere);
    if (answers.size() >= limits.unfinishedCallsMax()) {
      throw new ProtocolException(
          "it has more than " + limits.unfinishedCallsMax() + " calls that it has not finished");
    }
    if (answers.putIfAbsent(id, answer) != null) {
      throw new ProtocolException("it has used the number of question " + id + " twice");
    }
    callsAtWork++;
    bytesAtWork += bytes;
    return answer;
  }

  private void bootstrap(RpcSchema.Bootstrap.Reader message) {
    Answer answer = answer(message.getQuestionId(), 0, false);
    Outgoing results = new Outgoing();
    AnyPointer.Builder content = results.message.initReturn().initResults().getContent();
    bootstrap.retain();
    try (Client client = Client.factory.wrap(bootstrap)) {
      content.setAs(Client.factory, client);
    }
    Deferred pending = new Deferred();
    pending.response.complete(new Response(content.asReader(), results));
    answer.pending = pending;
    later(() -> answered(answer));
  }

  private void call(RpcSchema.Call.Reader call, MessageArena arena) {
    boolean resultsElsewhere = call.getSendResultsTo().isYourself();
    Answer answer = answer(call.getQuestionId(), arena.bytes(), resultsElsewhere);
    arena.setCapabilities(exchange.read(call.getParams().getCapTable()));
    Capability target = target(call.getTarget());
    if (callsAtWork > limits.incomingCallsMax()
        || callsAtWork > 1 && bytesAtWork > limits.incomingBytesMax()) {
      later(target::release);
      target = overloaded();
    }
    Capability object = target;
    CallMessage received =
        CallMessage.received(
            call.getInterfaceId(),
            Short.toUnsignedInt(call.getMethodId()),
            call.getParams().getContent());
    later(
        () -> {
          Pending pending = object.call(received);
          object.release();
          start(answer, pending);
        });
  }

  private void start(Answer answer, Pending pending) {
    boolean late =
        exclusively(
            () -> {
              answer.pending = pending;
              return ended != null;
            });
    if (late) {
      pending.cancel();
    } else {
      answered(answer);
    }
  }

  private Capability overloaded() {
    String reason =
        "more than %d calls or %d bytes of calls at work"
            .formatted(limits.incomingCallsMax(), limits.incomingBytesMax());
    return new BrokenCapability(new ServiceException(ServiceException.Kind.OVERLOADED, reason));
  }

  private Capability target(RpcSchema.MessageTarget.Reader target) {
    return switch (target.which()) {
      case IMPORTED_CAP -> exchange.exported(target.getImportedCap());
      case PROMISED_ANSWER -> promised(target.getPromisedAnswer());
      default -> throw new ProtocolException("it has called a target of an unknown kind");
    };
  }

  /** Gives one reference to what an answer has, or will have. */
  Capability promised(RpcSchema.PromisedAnswer.Reader promised) {
    Answer answer = answers.get(promised.getQuestionId());
    if (answer == null) {
      throw new ProtocolException("it has used an answer that it has finished");
    }
    Capability capability = answer.promise(Exchange.path(promised)).capability();
    capability.retain();
    return capability;
  }

  /** Sends a call's outcome as soon as there is one. */
  private void answered(Answer answer) {
    answer.pending.response.whenComplete((response, error) -> answer(answer, response, error));
  }

  private void answer(Answer answer, Response response, Throwable error) {
    Outgoing message = error == null ? outgoing(response) : new Outgoing();
    exclusively(
        () -> {
          if (answer.returned || ended != null) {
            return null;
          }
          try {
            if (error == null && !answer.resultsElsewhere) {
              answer.resultExports =
                  exchange.write(message.references(), message.message.getReturn().getResults());
            }
            sendReturn(answer, message, error);
          } catch (IllegalStateException closed) {
            sendReturn(answer, new Outgoing(), closed);
          }
          return null;
        });
  }

  private static Outgoing outgoing(Response response) {
    if (response.built() != null) {
      return response.built();
    }
    Outgoing copy = new Outgoing();
    PointerCopy.copy(response.content(), copy.message.initReturn().initResults().getContent());
    return copy;
  }

  private void sendReturn(Answer answer, Outgoing message, Throwable error) {
    leaveWork(answer);
    Outgoing sent = message;
    RpcSchema.Return.Builder result;
    if (error != null) {
      result = message.message.initReturn();
      Errors.write(error, result.initException());
    } else if (answer.resultsElsewhere) {
      sent = new Outgoing();
      result = sent.message.initReturn();
      result.setResultsSentElsewhere();
    } else {
      result = message.message.getReturn();
      if (message.references().isEmpty()) {
        // Nothing in it can be called, so that it need not be kept.
        answer.pending =
            Pending.failed(new ServiceException(ServiceException.Kind.FAILED, "no capability"));
      } else {
        answer.results = message;
      }
    }
    result.setAnswerId(answer.id);
    result.setReleaseParamCaps(false);
    wire.add(sent);
  }

  private void leaveWork(Answer answer) {
    answer.returned = true;
    callsAtWork--;
    bytesAtWork -= answer.bytes;
  }

  private void finish(RpcSchema.Finish.Reader finish) {
    Answer answer = answers.remove(finish.getQuestionId());
    if (answer == null) {
      throw new ProtocolException("it has finished a question that it has not asked");
    }
    if (finish.getReleaseResultCaps()) {
      answer.resultExports.forEach(id -> exchange.releaseExport(id, 1));
    }
    later(answer::closeReferences);
    if (!answer.returned) {
      leaveWork(answer);
      Outgoing message = new Outgoing();
      RpcSchema.Return.Builder result = message.message.initReturn();
      result.setAnswerId(answer.id);
      result.setReleaseParamCaps(false);
      result.setCanceled();
      wire.add(message);
      later(answer.pending::cancel);
    }
  }

  private void returned(RpcSchema.Return.Reader result, MessageArena arena) {
    Question question = questions.remove(result.getAnswerId());
    if (question == null) {
      throw new ProtocolException("it has answered a question that was not asked");
    }
    if (result.getReleaseParamCaps()) {
      question.paramExports.forEach(id -> exchange.releaseExport(id, 1));
    }
    if (!question.finished) {
      settle(question, result, arena);
      // After what settling has sent about the answer, and while its number is still its own.
      finish(question, false);
    }
    questionIds.free(question.id);
  }

  private void settle(Question question, RpcSchema.Return.Reader result, MessageArena arena) {
    switch (result.which()) {
      case RESULTS -> {
        arena.setCapabilities(exchange.read(result.getResults().getCapTable()));
        settle(question, new Response(result.getResults().getContent(), null), null);
      }
      case EXCEPTION -> settle(question, null, Errors.read(result.getException()));
      case CANCELED ->
          settle(
              question,
              null,
              new ServiceException(
                  ServiceException.Kind.FAILED, "the peer has cancelled the call"));
      case TAKE_FROM_OTHER_QUESTION -> takeFrom(question, result.getTakeFromOtherQuestion());
      default -> throw new ProtocolException("it has answered in an unknown way");
    }
  }

  /** The peer's answer is what this side has answered it: a tail call. */
  private void takeFrom(Question question, int id) {
    Answer answer = answers.get(id);
    if (answer == null) {
      throw new ProtocolException("it has answered with an answer that it has finished");
    }
    Pending source = answer.pending;
    question.source = source;
    settlePromises(question);
    later(
        () ->
            source.response.whenComplete(
                (response, error) -> {
                  if (error == null) {
                    question.response.complete(response);
                  } else {
                    question.response.completeExceptionally(error);
                  }
                }));
  }

  private void resolve(RpcSchema.Resolve.Reader resolve) {
    Capability target =
        switch (resolve.which()) {
          case CAP -> exchange.read(resolve.getCap());
          case EXCEPTION -> new BrokenCapability(Errors.read(resolve.getException()));
          default -> throw new ProtocolException("it has resolved a promise in an unknown way");
        };
    ImportedCapability promise = exchange.inUse(resolve.getPromiseId());
    if (promise == null || promise.target != null) {
      later(target::release);
    } else {
      become(promise, target);
    }
  }

  private void disembargo(RpcSchema.Message.Reader whole, MessageArena arena) {
    RpcSchema.Disembargo.Reader message = whole.getDisembargo();
    RpcSchema.Disembargo.Context.Reader context = message.getContext();
    switch (context.which()) {
      case SENDER_LOOPBACK -> loopBack(target(message.getTarget()), context.getSenderLoopback());
      case RECEIVER_LOOPBACK -> {
        Embargo embargo = embargoes.remove(context.getReceiverLoopback());
        if (embargo == null) {
          throw new ProtocolException("it has lifted an embargo that there is not");
        }
        embargoIds.free(context.getReceiverLoopback());
        later(() -> embargo.gate.resolve(embargo.target));
      }
      default -> refuse(whole, arena);
    }
  }

  /** All that the peer has called through here is on its way back to it: says so behind it. */
  private void loopBack(Capability target, int id) {
    Outgoing message = new Outgoing();
    RpcSchema.Disembargo.Builder disembargo = message.message.initDisembargo();
    Capability last = target.resolved();
    if (last instanceof RemoteCapability remote && remote.session == this) {
      remote.address(disembargo.initTarget());
    } else {
      throw new ProtocolException("it has asked for an embargo on what is not its own");
    }
    disembargo.getContext().setReceiverLoopback(id);
    wire.add(message);
    later(target::release);
  }

  // -------------------------------------------------------------------------------------- the end

  /** Ends all that is under way. Only the first time counts. */
  void end(DisconnectedException error) {
    exclusively(
        () -> {
          if (ended != null) {
            return null;
          }
          ended = error;
          List.copyOf(questions.values()).stream()
              .filter(question -> !question.finished)
              .forEach(question -> settle(question, null, error));
          questions.clear();
          answers.values().stream()
              .filter(answer -> !answer.returned && answer.pending != null)
              .forEach(answer -> later(answer.pending::cancel));
          answers.values().forEach(answer -> later(answer::closeReferences));
          answers.clear();
          embargoes.values().forEach(embargo -> later(() -> lift(embargo, error)));
          embargoes.clear();
          exchange.end();
          later(bootstrap::release);
          return null;
        });
  }

  private static void lift(Embargo embargo, DisconnectedException error) {
    embargo.gate.resolve(new BrokenCapability(error));
    embargo.target.release();
  }

  // ------------------------------------------------------------------------------------- the lock

  /** Does something when the lock has been given back. The lock must be held. */
  void later(Runnable action) {
    later.add(action);
  }

  private <T> T exclusively(Supplier<T> action) {
    if (lock.isHeldByCurrentThread()) {
      return action.get();
    }
    List<Runnable> then;
    T result;
    lock.lock();
    try {
      result = action.get();
    } finally {
      then = later;
      later = new ArrayList<>();
      lock.unlock();
    }
    then.forEach(Runnable::run);
    wire.flush();
    return result;
  }
}
