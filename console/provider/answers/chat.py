"""Simulated tutoring conversations."""

from __future__ import annotations

import random
from typing import Any

from console.provider.answers.facts import theme
from console.provider.answers.prompt import Ask

_STARTS = (
    "Ciao, sto studiando «{topic}» e mi sono bloccato su una cosa: {question}",
    "Domani ho la verifica su «{topic}». Mi aiuti? Non so rispondere a questa: {question}",
    "Ho letto il capitolo su «{topic}» due volte, ma non sono sicuro. {question}",
    "Sto ripassando «{topic}». Il libro dà per scontato questo punto: {question}",
)
_FIRST = (
    "Partiamo da quello che sai già. {sentence} {why} Ora prova tu: {next}",
    "Buona domanda, e la risposta è più semplice di come sembra. {sentence} {why} Vediamo se il filo tiene: {next}",
    "Andiamo con ordine. {sentence} {why} Prima di proseguire, dimmi: {next}",
)
_GUESSES = (
    "Direi «{wrong}»… ma vado un po' a intuito.",
    "Forse «{wrong}»? Mi pare di averlo sentito in classe.",
    "Io risponderei «{wrong}», però non saprei spiegare perché.",
    "Sono indeciso tra «{wrong}» e «{answer}», mi confondo sempre.",
)
_CORRECTIONS = (
    "Capisco da dove viene quella risposta, ma non è quella giusta. {sentence} {why}",
    "Quasi: hai colto il campo, non il punto. {sentence} {why}",
    "È un errore frequente, e vale la pena di smontarlo. {sentence} {why}",
)
_DOUBTS = (
    (
        "Come faccio a ricordarmelo senza impararlo a memoria?",
        "Spiegalo ad alta voce a qualcuno, con un esempio tuo: se ti fermi, hai trovato il punto da rivedere.",
    ),
    (
        "E se all'interrogazione me lo chiedono con altre parole?",
        "Cerca l'idea, non la frase: riscrivi la definizione in due modi e controlla che dicano la stessa cosa.",
    ),
    (
        "Mi sembra che sul libro ci sia scritto il contrario.",
        "Rileggi il passo con calma: spesso parla di un caso particolare, e la regola sta poche righe sopra.",
    ),
    (
        "Ma a che cosa serve saperlo, in pratica?",
        "Serve a collegare i fatti: chi conosce questo passaggio capisce anche perché accade quello che viene dopo.",
    ),
    (
        "Posso farti vedere come lo direi io?",
        "Certo. Comincia dalla causa, poi di' che cosa ne è seguito, e lascia i particolari per ultimi.",
    ),
    (
        "Quindi non c'è un'eccezione?",
        "Quasi sempre c'è, ma prima fissa il caso generale, poi chiediti che cosa lo farebbe cambiare.",
    ),
    (
        "Allora avevo confuso due cose diverse.",
        "Sì, e accorgersene vale più della risposta: scrivi le due definizioni vicine e sottolinea la differenza.",
    ),
)
_ENDS = (
    "Riassumendo «{topic}»: {sentence} Il prossimo passo è scrivere tre righe con parole tue e rileggerle domani.",
    "Tieni a mente l'essenziale di «{topic}»: {sentence} Poi prova a inventare tu una domanda per un compagno.",
    "Chiudiamo così, su «{topic}»: {sentence} Se vuoi metterti alla prova, cerca un altro esempio sul tuo quaderno.",
)


def make(ask: Ask, rng: random.Random) -> dict[str, Any]:
    """One conversation, as the class Chat wants it."""
    about = theme(ask, rng)
    first, second, third = rng.sample(about.facts, 3)
    exchanges = max(2, ask.number("lunghezza", default=rng.randint(3, 5), most=2 + len(_DOUBTS)))
    told = [
        (
            rng.choice(_STARTS).format(topic=about.name, question=first.question),
            rng.choice(_FIRST).format(sentence=first.sentence, why=first.why, next=second.question),
        ),
        (
            rng.choice(_GUESSES).format(wrong=rng.choice(second.wrong), answer=second.answer),
            rng.choice(_CORRECTIONS).format(sentence=second.sentence, why=second.why),
        ),
        *rng.sample(_DOUBTS, exchanges - 2),
    ]
    end = rng.choice(_ENDS).format(topic=about.name, sentence=third.sentence)
    turns = [turn for question, reply in told for turn in (("user", question), ("assistant", reply))]
    messages = [{"role": role, "content": content} for role, content in turns]
    messages[-1]["content"] += f" {end}"
    return {"messages": messages}
