"""`python -P -m holdfast.workers.isolated DESCRIPTOR`: the nursery process; started by a worker."""

from holdfast.workers.isolated.nursery_process import main

if __name__ == "__main__":
    main()
