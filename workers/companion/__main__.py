"""`python -P -m holdfast.workers.companion WORKER-ARGUMENTS...`: a worker with its companion."""

from holdfast.workers.companion.program import main

if __name__ == "__main__":
    main()
