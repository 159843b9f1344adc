"""The simulated provider: try a recipe, a limit or a whole fleet on it before you pay.

Its modules:

    settings    what it is: limits, prices, faults, latency
    server      the server: in a thread of a test, or as a process
    app         its HTTP interface
    simulation  the way of one call, without a network
    request     what a caller asks for
    max_price   what it would pay at most
    faults      what goes wrong, and when
    buckets     the limits of one model
    composing   the answer's text and its tokens
    answers     made-up answers that satisfy a recipe's checks
    caching     which system prompts are read from the provider's cache
    books       what is written down: the bill and the audit
    bill        the money, in nano-dollars
    audit       one line for every call
    flavours    what differs between openrouter_flavour and openai_flavour
    pages       OpenRouter's pages beside the calls
    control     changing it while it runs
"""
